"""How the page of a record looks."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h1 small { display: block; font-size: 1rem; font-weight: normal; color: #59636e; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #d1d9e0; padding-bottom: .2rem;
  break-after: avoid; }
p, li { max-width: 48rem; }
dl { display: grid; grid-template-columns: 14rem 1fr; gap: .15rem 1rem; margin: .5rem 0; }
dt { color: #59636e; }
dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th { text-align: left; color: #59636e; font-weight: normal; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e6eaef; vertical-align: top; overflow-wrap: anywhere; }
th, td:nth-last-child(n+2) { overflow-wrap: normal; }
td:last-child { font: .78rem/1.5 ui-monospace, monospace; }
.warning { background: #fff1e5; border-left: 4px solid #bc4c00; padding: .7rem 1rem; font-weight: 600;
  max-width: none; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; margin: 1rem 0; break-inside: avoid; }
figure { margin: 0; }
img { width: 100%; display: block; background: #eef1f4; }
img.before { image-rendering: pixelated; }
figcaption { font-size: .82rem; color: #59636e; margin-top: .2rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } a { color: inherit; } }
@page { margin: 18mm; }
"""
