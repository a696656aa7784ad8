"""Cameras in a browser: HLS with parts, WebRTC, and a page, in a process of their own."""
