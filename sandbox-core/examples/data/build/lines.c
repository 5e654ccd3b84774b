#include "lines.h"

long count_lines(FILE *file)
{
    long lines = 0;
    int c;

    while ((c = fgetc(file)) != EOF)
        lines += c == '\n';
    return lines;
}
