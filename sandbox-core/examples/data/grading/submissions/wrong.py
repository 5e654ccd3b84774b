# Splits at blanks only, so that "end." and "end" are two words.
import collections
import sys

counts = collections.Counter(sys.stdin.read().lower().split())
for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]:
    print(word, count)
