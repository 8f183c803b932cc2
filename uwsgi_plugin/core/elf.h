/* elf.h: reads what an ELF file says of itself: its build id, and the names of its functions. Pure: who calls reads the file.
 *
 * The file is whatever a dead worker named: every number in it is checked against a limit, and no more than a few buffers
 * of it are held. Files of this machine's own class alone.
 */
#ifndef HK_ELF_H
#define HK_ELF_H

#include "hk.h"

#define HK_ELF_ID 32U    /* most bytes of a build id: sha256 */
#define HK_ELF_NAME 256U /* bytes of a function's name, with the NUL */

typedef struct hk_elf_file {
    /* n bytes at offset: 1; 0: they are not there, or no time is left. */
    int (*read)(void *ctx, uint64_t offset, void *out, size_t n);
    void *ctx;
} hk_elf_file;

/* What is asked of an address in the file's own numbers, and the answer. */
typedef struct hk_elf_symbol {
    uint64_t address;
    uint64_t start;         /* of the function */
    char name[HK_ELF_NAME]; /* empty: nobody knows */
} hk_elf_symbol;

/* The build id in the bytes of a PT_NOTE segment, which may be aligned to 4 or 8; its length, 0: none. Allocates nothing. */
size_t hk_elf_note_id(hk_slice notes, size_t align, unsigned char id[HK_ELF_ID]);

/* The file's build id; its length, 0: none. */
size_t hk_elf_build_id(const hk_elf_file *f, unsigned char id[HK_ELF_ID]);

/* What Breakpad takes for a build id where there is none: the first page of the code, folded to 16 bytes. 16, or 0. */
size_t hk_elf_text_id(const hk_elf_file *f, unsigned char id[HK_ELF_ID]);

/* Name the functions that these addresses are in: from .symtab, else .dynsym. */
void hk_elf_find(const hk_elf_file *f, hk_elf_symbol *symbols, size_t count);

#endif
