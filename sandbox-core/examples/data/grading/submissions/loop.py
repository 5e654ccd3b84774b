import sys

text = sys.stdin.read()
while True:
    if text == "":
        continue
