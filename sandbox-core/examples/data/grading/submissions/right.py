import collections
import re
import sys

words = re.findall(r"\w+", sys.stdin.read().lower())
counts = collections.Counter(words)
for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]:
    print(word, count)
