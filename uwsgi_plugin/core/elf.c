#include "elf.h"

#include <elf.h>

#if __SIZEOF_POINTER__ == 8
#define OWN_CLASS ELFCLASS64
typedef Elf64_Ehdr elf_header;
typedef Elf64_Phdr elf_segment;
typedef Elf64_Shdr elf_section;
typedef Elf64_Sym elf_sym;
#else
#define OWN_CLASS ELFCLASS32
typedef Elf32_Ehdr elf_header;
typedef Elf32_Phdr elf_segment;
typedef Elf32_Shdr elf_section;
typedef Elf32_Sym elf_sym;
#endif

#define MAX_SECTIONS 1024U
#define MAX_SEGMENTS 128U
#define MAX_NOTES 4096U       /* bytes of one segment of notes */
#define MAX_SYMBOLS 4000000U  /* of a table: 96 MB */
#define MAX_SYMBOLS_ASKED 128U
#define UNSIZED 256U /* bytes that a function without a size (assembler) is taken to have */
#define ALIASES 6U   /* names of one function that are compared */
#define AT_ONCE 512U /* symbols that are read at a time */
#define PAGE 4096U   /* bytes that Breakpad folds */

/* The best answer so far. */
typedef struct found {
    uint64_t start;
    int sized;
    uint32_t names[ALIASES];
    size_t count;
} found;

static size_t up_to(size_t n, size_t align)
{
    return (n + align - 1) / align * align;
}

size_t hk_elf_note_id(hk_slice notes, size_t align, unsigned char id[HK_ELF_ID])
{
    uint32_t head[3]; /* sizes of name and content, type: the same in both classes */
    size_t name, content;

    if (align != 8)
        align = 4;
    while (notes.n >= sizeof head) {
        memcpy(head, notes.p, sizeof head);
        notes = hk_slice_from(notes, sizeof head);
        name = head[0], content = head[1];
        if (name > MAX_NOTES || content > MAX_NOTES || up_to(name, align) > notes.n || content > notes.n - up_to(name, align))
            return 0;
        if (head[2] == NT_GNU_BUILD_ID && name == 4 && memcmp(notes.p, "GNU", 4) == 0 && content > 0 && content <= HK_ELF_ID) {
            memcpy(id, notes.p + up_to(name, align), content);
            return content;
        }
        notes = hk_slice_from(notes, up_to(name, align) + up_to(content, align));
    }
    return 0;
}

static int read_header(const hk_elf_file *f, elf_header *h)
{
    return f->read(f->ctx, 0, h, sizeof *h) && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0
        && h->e_ident[EI_CLASS] == OWN_CLASS;
}

static int read_section(const hk_elf_file *f, const elf_header *h, size_t index, elf_section *s)
{
    return index < h->e_shnum && h->e_shnum <= MAX_SECTIONS && h->e_shentsize == sizeof *s
        && f->read(f->ctx, h->e_shoff + index * sizeof *s, s, sizeof *s);
}

size_t hk_elf_build_id(const hk_elf_file *f, unsigned char id[HK_ELF_ID])
{
    char notes[MAX_NOTES];
    elf_header h;
    elf_segment s;
    size_t i, n;

    if (!read_header(f, &h) || h.e_phnum > MAX_SEGMENTS || h.e_phentsize != sizeof s)
        return 0;
    for (i = 0; i < h.e_phnum; i++) {
        if (!f->read(f->ctx, h.e_phoff + i * sizeof s, &s, sizeof s))
            return 0;
        if (s.p_type != PT_NOTE || s.p_filesz > sizeof notes || !f->read(f->ctx, s.p_offset, notes, (size_t)s.p_filesz))
            continue;
        n = hk_elf_note_id(hk_slice_make(notes, (size_t)s.p_filesz), (size_t)s.p_align, id);
        if (n > 0)
            return n;
    }
    return 0;
}

size_t hk_elf_text_id(const hk_elf_file *f, unsigned char id[HK_ELF_ID])
{
    unsigned char code[PAGE];
    elf_section names, s;
    elf_header h;
    char name[6];
    size_t i, k, n;

    if (!read_header(f, &h) || !read_section(f, &h, h.e_shstrndx, &names))
        return 0;
    for (i = 0; i < h.e_shnum; i++) {
        if (!read_section(f, &h, i, &s))
            return 0;
        if (s.sh_type != SHT_PROGBITS || !f->read(f->ctx, names.sh_offset + s.sh_name, name, sizeof name)
            || memcmp(name, ".text", sizeof name) != 0)
            continue;
        n = s.sh_size < sizeof code ? (size_t)s.sh_size : sizeof code;
        if (n == 0 || !f->read(f->ctx, s.sh_offset, code, n))
            return 0;
        memset(id, 0, 16);
        for (k = 0; k < n; k++)
            id[k % 16] ^= code[k];
        return 16;
    }
    return 0;
}

static void consider(const elf_sym *sym, uint64_t address, found *best)
{
    unsigned type = sym->st_info & 15U;
    int sized = sym->st_size > 0;

    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || sym->st_shndx == SHN_UNDEF || address < sym->st_value
        || address - sym->st_value >= (sized ? sym->st_size : UNSIZED))
        return;
    if (best->count > 0 && best->sized > sized)
        return;
    if (best->count > 0 && best->sized == sized) {
        if (sym->st_value < best->start)
            return;
        if (sym->st_value == best->start) {
            if (best->count < ALIASES)
                best->names[best->count++] = sym->st_name;
            return;
        }
    }
    best->start = sym->st_value;
    best->sized = sized;
    best->names[0] = sym->st_name;
    best->count = 1;
}

static size_t read_name(const hk_elf_file *f, const elf_section *strings, uint32_t at, char name[HK_ELF_NAME])
{
    size_t n = HK_ELF_NAME - 1;

    name[0] = '\0';
    if (at >= strings->sh_size)
        return 0;
    if (n > strings->sh_size - at)
        n = (size_t)(strings->sh_size - at);
    if (!f->read(f->ctx, strings->sh_offset + at, name, n))
        n = 0;
    name[n] = '\0';
    return strlen(name);
}

/* Of several names the one that a person would write: free, not __libc_free. */
static void name_best(const hk_elf_file *f, const elf_section *strings, const found *best, hk_elf_symbol *symbol)
{
    char name[HK_ELF_NAME];
    size_t i, n, least = 0;

    for (i = 0; i < best->count; i++) {
        n = read_name(f, strings, best->names[i], name);
        if (n == 0)
            continue;
        n += name[0] == '_' ? HK_ELF_NAME : 0;
        if (least > 0 && n >= least)
            continue;
        least = n;
        memcpy(symbol->name, name, sizeof name);
        symbol->start = best->start;
    }
}

static void look_through(const hk_elf_file *f, const elf_section *table, const elf_section *strings, hk_elf_symbol *symbols,
                         size_t count)
{
    uint64_t left = table->sh_size / sizeof(elf_sym), at = table->sh_offset;
    found best[MAX_SYMBOLS_ASKED];
    elf_sym some[AT_ONCE];
    size_t n, i, k;

    memset(best, 0, sizeof best);
    for (; left > 0; left -= n, at += n * sizeof some[0]) {
        n = left < AT_ONCE ? (size_t)left : AT_ONCE;
        if (!f->read(f->ctx, at, some, n * sizeof some[0]))
            return; /* half a table could name the wrong function */
        for (i = 0; i < n; i++)
            for (k = 0; k < count; k++)
                if (symbols[k].name[0] == '\0')
                    consider(&some[i], symbols[k].address, &best[k]);
    }
    for (k = 0; k < count; k++)
        if (best[k].count > 0)
            name_best(f, strings, &best[k], &symbols[k]);
}

void hk_elf_find(const hk_elf_file *f, hk_elf_symbol *symbols, size_t count)
{
    static const uint32_t tables[] = { SHT_SYMTAB, SHT_DYNSYM };
    elf_section s, strings;
    elf_header h;
    size_t i, k;

    if (count > MAX_SYMBOLS_ASKED)
        count = MAX_SYMBOLS_ASKED;
    for (k = 0; k < count; k++)
        symbols[k].name[0] = '\0';
    if (!read_header(f, &h))
        return;
    for (k = 0; k < 2; k++)
        for (i = 0; i < h.e_shnum && read_section(f, &h, i, &s); i++)
            if (s.sh_type == tables[k] && s.sh_entsize == sizeof(elf_sym) && s.sh_size / sizeof(elf_sym) <= MAX_SYMBOLS
                && read_section(f, &h, s.sh_link, &strings))
                look_through(f, &s, &strings, symbols, count);
}
