#ifndef LINES_H
#define LINES_H

#include <stdio.h>

long count_lines(FILE *file);

#endif
