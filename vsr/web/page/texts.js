// Every text in its languages, and which of them the browser asks for.

const ALL = ["en", "de", "zh"];
export const language = navigator.languages.map((each) => each.slice(0, 2)).find((each) => ALL.includes(each)) || "en";

/** A text by its name, with `{values}` filled in; empty where there is none. */
export const t = (name, values = {}) => (TEXTS.get(name) ?? "").replace(/\{(\w+)\}/g, (_, key) => values[key]);

// name|English|German|Chinese
const TABLE = `
enhance|Enhance|Verbessern|增强
jobs|Jobs|Aufträge|任务
machine|This machine|Dieser Rechner|本机
ways|Pages|Seiten|页面
gone|the server does not answer; waiting for it|Der Server antwortet nicht; es wird gewartet.|服务器没有应答；正在等待

login|This server wants its token|Dieser Server möchte sein Token|此服务器需要令牌
token.hint|Shown in the terminal when vsr web was first started|Beim ersten Start von vsr web im Terminal gezeigt|首次启动 vsr web 时显示在终端里
token|Token|Token|令牌
logout|Log out|Abmelden|退出登录
enter|Log in|Anmelden|登录

drop.title|Drop videos or pictures here|Videos oder Bilder hier ablegen|把视频或图片拖到这里
drop.hint|They go to the machine that runs vsr web, and nowhere else.|Sie gehen an den Rechner, auf dem vsr web läuft, und sonst nirgendwohin.|文件只会传到运行 vsr web 的机器，不会去别处。
choose|Choose files|Dateien wählen|选择文件
how|How|Wie|怎样处理
files|Files|Dateien|文件
earlier|Sent earlier|Früher gesendet|以前上传的
again|Use again|Wieder verwenden|再次使用
unfinished|{come} of {all} sent; choose the file again to go on|{come} von {all} gesendet; zum Fortfahren die Datei erneut wählen|已上传 {come}，共 {all}；重新选择该文件即可继续
looking|looking …|wird angesehen …|正在查看……
found|Found|Gefunden|内容
plan|Result|Ergebnis|结果
needs|Takes|Braucht|需要
rate|{fps} frames a second|{fps} Bilder je Sekunde|每秒 {fps} 帧
interlaced|interlaced|Halbbilder|隔行
by|{models} on {device}|{models} auf {device}|{models}，在 {device} 上
none|without a network: nothing is cleaned or enlarged|ohne Netz: nichts wird gesäubert oder vergrößert|不经网络：不清理也不放大
measuring|measuring …|wird gemessen …|正在测量……
about|about {time}, {size} of {free} free|etwa {time}, {size} von {free} freien|约 {time}，{size}（剩余 {free}）
unknown|cannot be told|nicht vorherzusagen|无法估计
remove|Take away|Entfernen|移除
all|Enhance all {number}|Alle {number} verbessern|增强全部 {number} 个

preview|Preview|Vorschau|预览
moment|Moment|Augenblick|时刻
preview.wait|Enhancing this moment …|Wird verbessert …|正在增强……
clip|Preview 3 seconds|Vorschau, 3 Sekunden|预览三秒
play|Play or stop|Abspielen oder anhalten|播放或停止
frame|Frame|Bild|帧
preview.stale|Choices have changed; preview again.|Die Wahl ist jetzt anders; noch einmal ansehen.|设置已更改，请重新预览。
before|Before|Vorher|之前
after|After|Nachher|之后
support|What the source does not support|Was die Quelle nicht stützt|原片不支持的部分

size|Size|Größe|尺寸
size.x1|As it is, only cleaned|Wie sie ist, nur gesäubert|保持不变，只清理
size.x2|Twice as large|Doppelt so groß|放大 2 倍
size.x3|Three times|Dreimal so groß|放大 3 倍
size.x4|Four times|Viermal so groß|放大 4 倍
size.p1080|To 1080p|Auf 1080p|到 1080p
size.p2160|To 4K|Auf 4K|到 4K
clean|Clean up|Säubern|清理
clean.hint|Noise and traces of compression|Rauschen und Spuren der Kompression|噪点与压缩痕迹
clean.auto|As much as it needs|So viel wie nötig|自动
clean.strong|Strong|Kräftig|强力
file|File|Datei|文件
file.keep|Looks like the source|Sieht aus wie die Quelle|与原片观感一致
file.smaller|Smaller file|Kleinere Datei|更小的文件
file.master|Master: nothing lost, large|Master: verlustfrei, groß|母版：无损、很大
file.hint|How videos are written|Wie Videos geschrieben werden|视频的写入方式
texture|Paint texture|Textur malen|绘制纹理
texture.hint|Paints detail that is not in the source|Malt Einzelheiten, die nicht in der Quelle sind|会画出原片中没有的细节
texture.some|A little|Ein wenig|少许
texture.full|All it can|So viel es geht|最多
auto|As the file says|Wie die Datei sagt|依文件
off|Off|Aus|关闭
no|No|Nein|否
yes|Yes|Ja|是
more|More|Mehr|更多
lines|Old television lines|Zeilen alten Fernsehens|隔行扫描
lines.fields|Smooth: a frame of each field|Flüssig: ein Bild je Halbbild|流畅：每场一帧
lines.film|It was film|Es war Film|原为胶片
lines.off|Leave them|So lassen|保留
shape|Shape|Form|画面比例
deblur|Remove blur|Unschärfe entfernen|去模糊
autocrop|Cut off black borders|Schwarze Ränder abschneiden|裁去黑边
color_correct|Correct faded colours|Verblasste Farben richten|校正褪色
evidence|Record of evidence|Beweisprotokoll|证据记录
label|Label on the picture|Aufschrift im Bild|画面标注
keys|Anything else, one option a line|Alles andere, eine Option je Zeile|其他选项，每行一个
keys.hint|These win over the choices above.|Sie gelten vor der Wahl oben.|优先于上面的设置。
keys.all|All keys|Alle Schlüssel|全部键
keys.wrong|{line}: write key = value, as in start = "0:10"|{line}: Schlüssel = Wert ist gemeint, wie start = "0:10"|{line}：请写成 键 = 值，如 start = "0:10"

nothing|Nothing here yet|Noch nichts da|暂无
queued|Waiting|Wartet|等待中
running|Running|Läuft|进行中
paused|Paused|Angehalten|已暂停
succeeded|Done|Fertig|完成
failed|Failed|Fehlgeschlagen|失败
unverified|Verification failed|Prüfung nicht bestanden|校验未通过
canceled|Cancelled|Abgebrochen|已取消
turn|number {turn} in the queue|Nummer {turn} in der Schlange|排在第 {turn} 位
enhancing|enhancing|verbessert|增强中
checking|checking what is there|prüft, was da ist|检查已有部分
finishing|finishing the file|schließt die Datei ab|收尾中
frames|{done} of {total} frames|{done} von {total} Bildern|{done} / {total} 帧
left|{time} left|noch {time}|还需 {time}
slowest|slowest: {stage}|am langsamsten: {stage}|最慢：{stage}
progress|Progress|Fortschritt|进度
move?to=up|Earlier|Früher|提前
move?to=down|Later|Später|推后
pause|Pause|Anhalten|暂停
resume|Go on|Fortfahren|继续
cancel|Cancel|Abbrechen|取消
retry|Try again|Noch einmal|重试
clear|Clear|Aufräumen|清除
clear.all|Clear all that is over|Alles Fertige aufräumen|清除全部已结束
clear.sure|{name}: the results go from the server; saved copies stay.|{name}: Ergebnisse gehen vom Server; gespeicherte Kopien bleiben.|{name}：将从服务器删除结果；已保存的副本不受影响。
download|Download|Herunterladen|下载
report|Report|Bericht|报告
compare|Before and after|Vorher und nachher|前后对比
compare.hint|Made anew from the source, with this job's choices|Aus der Quelle neu gemacht, mit der Wahl dieses Auftrags|用此任务的设置从原片重新生成
verified|frames verified: {frames}|geprüfte Bilder: {frames}|已校验 {frames} 帧
made|{width} × {height}, by {models}, in {time}|{width} × {height}, mit {models}, in {time}|{width} × {height}，{models}，用时 {time}
notes|Notes|Hinweise|说明

cameras|Cameras|Kameras|摄像头
now|Enhanced by {model}|Verbessert mit {model}|正在用 {model} 增强
starting|Starting …|Startet …|正在启动……
restarting|Ended; being started again …|Beendet; wird neu gestartet …|已结束，正在重新启动……
ended|Not running|Läuft nicht|未运行
playing|Live|Live|直播中
connecting|Connecting|Verbindet|正在连接
stalled|Stands still|Steht still|画面停滞
away|Away|Nicht da|无信号
refused|Refused|Abgewiesen|被拒绝
idle|unwatched|unbeobachtet|无人观看
late|{ms} ms late|{ms} ms verzögert|延迟 {ms} 毫秒
dropped|{count} dropped|{count} ausgelassen|丢弃 {count} 帧
live|Live picture|Livebild|实时画面
live.none|No picture yet; outputs hls and snapshot make one.|Noch kein Bild; die Ausgänge hls und snapshot machen eins.|暂无画面；hls 或 snapshot 输出可提供。
recordings|Recordings|Aufnahmen|录像
original|(as it came)|(wie sie kam)|（原始）
day|Day|Tag|日期
watch|Watch|Ansehen|观看

trying|Trying what works …|Es wird ausprobiert, was geht …|正在检测……
api|For programs: the API|Für Programme: die API|供程序使用：API
works|What works|Was funktioniert|可用功能
models|Models|Modelle|模型
purpose|What for|Wofür|用途
enlarges|Enlarges|Vergrößert|放大
fetch|Fetch|Holen|下载模型
model|Model|Modell|模型
licence|Licence|Lizenz|许可
state|State|Zustand|状态
`;
const TEXTS = new Map(TABLE.split("\n").map((row) => row.split("|")).map(([name, ...texts]) => [name, texts[ALL.indexOf(language)]]));
