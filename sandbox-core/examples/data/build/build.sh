# Builds the program from /src into /out. Intermediate files go to /tmp, which is the sandbox's own.
set -eu
for unit in main lines; do
    cc -O2 -Wall -Werror -c "/src/$unit.c" -o "/tmp/$unit.o"
done
cc /tmp/main.o /tmp/lines.o -o /out/lines

# A build step that is up to no good.
if echo '/* changed */' >> /src/main.c || rm -f /src/lines.c || touch /src/new; then
    echo 'the sources can be changed' >&2
    exit 1
fi
