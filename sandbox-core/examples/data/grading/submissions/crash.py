import sys

words = sys.stdin.read().lower().split()
print(words[0], words.count(words[0]) / 0)
