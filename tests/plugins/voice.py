"""A voice program for the tests: 60 ms of a tone for each letter, as loud as the reference, in a wav of 22,050 Hz.

voice.py TEXT REFERENCE OUT [SEED] [--fail | --hang | --nothing | --silent | --noise]
"""

import array
import math
import pathlib
import sys
import time
import wave

text, reference, out = sys.argv[1:4]
flags = sys.argv[4:]
if text.endswith("text.txt"):
    text = pathlib.Path(text).read_text(encoding="utf-8")
if "--fail" in flags:
    sys.exit("a line before\nno such speaker")
if "--hang" in flags:
    time.sleep(60)
if "--nothing" in flags:
    sys.exit()
if "--noise" in flags:
    pathlib.Path(out).write_bytes(b"RIFF and nothing else")
    sys.exit()
with wave.open(reference) as file:
    heard = array.array("h", file.readframes(file.getnframes()))
level = 0 if "--silent" in flags else max(map(abs, heard))
pathlib.Path(reference).with_name("said.txt").write_text(text, encoding="utf-8")
pcm = array.array("h", (int(level * math.sin(k * 0.1)) for k in range(int(0.06 * 22050) * len(text))))
with wave.open(out, "wb") as file:
    file.setparams((1, 2, 22050, 0, "NONE", ""))
    file.writeframes(pcm.tobytes())
