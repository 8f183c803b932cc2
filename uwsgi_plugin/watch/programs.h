/* programs.h: what reads values from outside. */
#ifndef HK_PROGRAMS_H
#define HK_PROGRAMS_H

/* py-spy, and the Python that masks what it says; without a slash they are looked for in the PATH. Before any fork. */
void hk_programs_find(char **masker, char **py_spy);

#endif
