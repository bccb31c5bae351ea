/* unwind_program: each instruction with the rows that it must give, and what is not to be
 * followed or makes no sense. */
#include "frames.h"

static void check_program(const char *letters, struct bytes cie, struct bytes fde,
                          const char *want)
{
    struct image *image = image_create();
    char whole[TEXT_MAX];

    put_cie_with(image, letters, cie, 0);
    put_fde(image, 0, 0x40, fde);
    put_header(image);
    snprintf(whole, sizeof(whole), "%s, 40 gap same", want);
    CHECK_EQ(check_rows(image, whole), 0);
    free(image);
}

static void test_instructions(void)
{
    static const struct {
        struct bytes program;
        const char *want;
    } cases[] = {
        {BYTES(""), "0 rsp+8 same"},
        /* push rbp; mov rsp, rbp; ... leave */
        {BYTES("\x41\x0e\x10\x86\x02\x43\x0d\x06\x5c\x0c\x07\x08"),
         "0 rsp+8 same, 1 rsp+16 c-16, 4 rbp+16 c-16, 20 rsp+8 c-16"},
        /* the ways to move on */
        {BYTES("\x02\x05\x0e\x10"), "0 rsp+8 same, 5 rsp+16 same"},
        {BYTES("\x03\x05\x00\x0e\x10"), "0 rsp+8 same, 5 rsp+16 same"},
        {BYTES("\x04\x05\x00\x00\x00\x0e\x10"), "0 rsp+8 same, 5 rsp+16 same"},
        {BYTES("\x1d\x05\x00\x00\x00\x00\x00\x00\x00\x0e\x10"),
         "0 rsp+8 same, 5 rsp+16 same"},
        {BYTES("\x40\x0e\x10"), "0 rsp+16 same"}, /* by nothing */
        {BYTES("\x7f\x0e\x10\x7f\x0e\x18"), "0 rsp+8 same, 3f rsp+16 same"},
        /* the CFA */
        {BYTES("\x0c\x06\x10"), "0 rbp+16 same"},
        {BYTES("\x12\x07\x7e"), "0 rsp+16 same"},
        {BYTES("\x13\x7d"), "0 rsp+24 same"},
        {BYTES("\x0d\x06"), "0 rbp+8 same"},
        {BYTES("\x0e\x88\x80\x01"), "0 rsp+16392 same"},
        {BYTES("\x0e\xf8\xff\x07"), "0 rsp+131064 same"},
        {BYTES("\x0e\x80\x80\x08"), "0 other same"}, /* a row has no room for it */
        {BYTES("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "0 other same"},
        {BYTES("\x0e\x0c"), "0 other same"},     /* not in words of eight bytes */
        {BYTES("\x13\x08"), "0 other same"},     /* below the stack pointer */
        {BYTES("\x0c\x0a\x00"), "0 other same"}, /* r10 */
        {BYTES("\x0c\x0a\x08\x41\x0d\x07"), "0 other same, 1 rsp+8 same"},
        /* rbp */
        {BYTES("\x86\x04"), "0 rsp+8 c-32"},
        {BYTES("\x05\x06\x04"), "0 rsp+8 c-32"},
        {BYTES("\x11\x06\x04"), "0 rsp+8 c-32"},
        {BYTES("\x11\x06\x7f"), "0 rsp+8 c+8"},
        {BYTES("\x2f\x06\x02"), "0 rsp+8 c+16"},
        {BYTES("\x86\x02\x41\xc6"), "0 rsp+8 c-16, 1 rsp+8 same"},
        {BYTES("\x86\x02\x41\x06\x06"), "0 rsp+8 c-16, 1 rsp+8 same"},
        {BYTES("\x86\x02\x41\x08\x06"), "0 rsp+8 c-16, 1 rsp+8 same"},
        {BYTES("\x07\x06"), "0 rsp+8 undefined"},
        {BYTES("\x09\x06\x03"), "0 other same"},
        {BYTES("\x14\x06\x02"), "0 other same"},
        {BYTES("\x15\x06\x02"), "0 other same"},
        {BYTES("\x16\x06\x02\x77\x08"), "0 other same"},
        {BYTES("\x10\x06\x02\x77\x08"), "0 other same"},
        {BYTES("\x86\x00"), "0 other same"}, /* at the CFA itself: that row says "same" */
        {BYTES("\x86\xfe\xff\x01"), "0 rsp+8 c-262128"},
        {BYTES("\x86\xff\xff\x01"), "0 other same"},
        {BYTES("\x86\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), "0 other same"},
        /* the return address */
        {BYTES("\x07\x10"), "0 root same"},
        {BYTES("\x0c\x0a\x00\x07\x10"), "0 root same"},
        {BYTES("\x90\x02"), "0 other same"},
        {BYTES("\x08\x10"), "0 other same"},
        {BYTES("\x09\x10\x01"), "0 other same"},
        {BYTES("\x09\x10\x01\x41\xd0"), "0 other same, 1 rsp+8 same"},
        {BYTES("\x14\x10\x01"), "0 other same"},
        /* rsp: only what says the same as nothing */
        {BYTES("\x14\x07\x00"), "0 rsp+8 same"},
        {BYTES("\x14\x07\x01"), "0 other same"},
        {BYTES("\x87\x02"), "0 other same"},
        {BYTES("\x87\x02\x41\xc7"), "0 other same, 1 rsp+8 same"},
        {BYTES("\x08\x07"), "0 other same"},
        /* registers that rows do not follow */
        {BYTES("\x83\x03\x8c\x04\x07\x00\x08\x03\x09\x0c\x0d\x16\x03\x01\x9c"),
         "0 rsp+8 same"},
        /* kept states, with the CFA in them, one in the other */
        {BYTES("\x0e\x10\x86\x02\x41\x0a\x0e\x18\x42\x0a\x0d\x06\x41\x0b\x41\x0b"),
         "0 rsp+16 c-16, 1 rsp+24 c-16, 3 rbp+24 c-16, 4 rsp+24 c-16, 5 rsp+16 c-16"},
        {BYTES("\x2e\x10\x00\x41\x0e\x10"), "0 rsp+8 same, 1 rsp+16 same"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_program("zR", USUAL, cases[i].program, cases[i].want);
}

static void test_expressions(void)
{
    static const struct {
        struct bytes program;
        const char *want;
    } cases[] = {
        /* .plt of ld: the push ends before byte 11, 10, 9 or 5 of each 16 */
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22"), "0 plt-11 same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3a\x2a\x33\x24\x22"), "0 plt-10 same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x39\x2a\x33\x24\x22"), "0 plt-9 same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x35\x2a\x33\x24\x22"), "0 plt-5 same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x40\x2a\x33\x24\x22"), "0 other same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x2f\x2a\x33\x24\x22"), "0 other same"},
        {BYTES("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2b\x33\x24\x22"), "0 other same"},
        {BYTES("\x0f\x0a\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24"), "0 other same"},
        /* gcc's realigned stack; its rule for rbp is still there at the `ret` */
        {BYTES("\x0c\x0a\x00\x44\x10\x06\x02\x76\x00\x44\x0f\x03\x76\x78\x06\x44"
               "\x0c\x07\x08"),
         "0 other same, 8 *rbp-8 *rbp, c rsp+8 same"},
        {BYTES("\x0f\x03\x76\x78\x06"), "0 *rbp-8 same"},
        {BYTES("\x0f\x03\x76\x78\x06\x86\x02"), "0 *rbp-8 c-16"},
        {BYTES("\x0f\x03\x76\x08\x06"), "0 other same"},
        {BYTES("\x0f\x03\x76\x79\x06"), "0 other same"},
        {BYTES("\x0f\x04\x76\x78\x06\x96"), "0 other same"},
        {BYTES("\x0f\x02\x76\x78"), "0 other same"},
        {BYTES("\x10\x06\x02\x76\x00"), "0 rsp+8 same"},
        {BYTES("\x0e\x10\x10\x06\x02\x76\x00"), "0 other same"},
        {BYTES("\x10\x06\x02\x76\x08"), "0 other same"},
        /* the old stack pointer, kept on the new stack */
        {BYTES("\x0f\x06\x77\xd8\x00\x06\x23\x08"), "0 *(rsp+88)+8 same"},
        {BYTES("\x0f\x05\x77\x78\x06\x23\x08"), "0 *(rsp-8)+8 same"},
        {BYTES("\x0f\x05\x77\x78\x06\x23\x09"), "0 other same"},
        {BYTES("\x0f\x06\x77\x78\x06\x23\x80\x01"), "0 other same"},
        /* a register's offset outlives an expression */
        {BYTES("\x0e\x38\x0f\x05\x77\x08\x06\x23\x38\x44\x0d\x07"),
         "0 *(rsp+8)+56 same, 4 rsp+56 same"},
        /* without the letter S what the kernel pushed is not followed */
        {BYTES("\x0f\x04\x77\xa0\x01\x06\x10\x10\x03\x77\xa8\x01"), "0 other same"},
        {BYTES("\x0f\x00"), "0 other same"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check_program("zR", USUAL, cases[i].program, cases[i].want);
}

/* What glibc says of __restore_rt, and what only looks like it. */
static void test_signal_frames(void)
{
    static const char right[] = "\x0f\x04\x77\xa0\x01\x06\x10\x06\x03\x77\xf8\x00"
                                "\x10\x10\x03\x77\xa8\x01\x10\x07\x03\x77\xa0\x01";
    static const uint8_t offsets[] = {3, 10, 16, 22}; /* where they stand in it */
    char wrong[sizeof(right)];

    check_program("zRS", BYTES(""), BYTES(right), "0 signal same");
    check_program("zRS", USUAL, BYTES(right), "0 signal same");
    check_program("zRS", BYTES(""), (struct bytes){18, right}, "0 signal same");
    check_program("zRS", USUAL, (struct bytes){12, right}, "0 other same");
    check_program("zRS", USUAL, BYTES(""), "0 other same");
    for (size_t i = 0; i < sizeof(offsets); i++) {
        memcpy(wrong, right, sizeof(right));
        wrong[offsets[i]] ^= 8;
        check_program("zRS", BYTES(""), (struct bytes){sizeof(right) - 1, wrong},
                      "0 other same");
    }
}

static void test_cies(void)
{
    struct image *image;

    /* nothing said of the return address, or of the CFA */
    check_program("zR", BYTES("\x0c\x07\x08"), BYTES(""), "0 other same");
    check_program("zR", BYTES("\x90\x01"), BYTES(""), "0 other same");
    check_program("zR", BYTES("\x0c\x07\x10\x90\x01\x86\x02"),
                  BYTES("\x41\x08\x06\x41\xc6"),
                  "0 rsp+16 c-16, 1 rsp+16 same, 2 rsp+16 c-16");
    /* letters of personality and LSDA, and unknown ones, have their bytes skipped */
    image = image_create();
    image->cie = image->at;
    put(image, "\x20\0\0\0\0\0\0\0\1zPLR\0\1\x78\x10\7\x9b\1\2\3\4\x1b\x1b", 25);
    put(image, "\x0c\x07\x08\x90\x01\0\0\0\0\0\0", 11);
    put_fde(image, 0, 0x40, BYTES("\x0e\x10"));
    put_header(image);
    CHECK_EQ(check_rows(image, "0 rsp+16 same, 40 gap same"), 0);
    memcpy(image->bytes + FRAMES + 9, "zRXX", 4);
    image->bytes[FRAMES + 18] = 0x1b;
    CHECK_EQ(check_rows(image, "0 rsp+16 same, 40 gap same"), 0);
    image->bytes[FRAMES + 16] = 15; /* another return address register */
    CHECK_EQ(check_rows(image, "0 other same, 40 gap same"), 0);
    free(image);
}

static void test_set_loc(void)
{
    struct image *image = image_create();
    uint64_t next = BASE + TEXT + 5;
    char program[11] = "\x01________\x0e\x10";
    size_t at;

    put_cie_with(image, "z", USUAL, 0);
    at = image->at;
    memcpy(program + 1, &next, 8);
    put_whole_fde(image, 0x40, (struct bytes){sizeof(program), program});
    put_header(image);
    CHECK_EQ(check_rows(image, "0 rsp+8 same, 5 rsp+16 same, 40 gap same"), 0);
    next = BASE + TEXT - 1; /* back */
    memcpy(image->bytes + at + 26, &next, 8);
    CHECK_EQ(check_rows(image, "-74"), 0);
    free(image);
}

/* A malformed FDE is a gap, and counted; its neighbours are not harmed. */
static void test_malformed_programs(void)
{
    static const struct bytes cases[] = {
        BYTES("\x41\x0b"),             /* nothing was kept */
        BYTES("\x41\x2d\x41\x0e\x10"), /* of other machines */
        BYTES("\x41\x2c\x41\x0e\x10"),
        BYTES("\x41\x3f"),
        BYTES("\x41\x1c\x01"),
        BYTES("\x41\x40\x03"), /* cut short */
        BYTES("\x0f\x7f\x01"), /* a block longer than what is left */
        BYTES("\x0e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct image *image = image_create();
        struct cprof_unwind_rows *rows;
        char text[TEXT_MAX];
        put_cie(image, USUAL);
        put_fde(image, 0, 0x10, BYTES("\x0e\x10"));
        put_fde(image, 0x10, 0x10, cases[i]);
        put_fde(image, 0x20, 0x10, BYTES("\x0e\x18"));
        put_header(image);
        rows = build(image, text);
        CHECK_STR(text, "0 rsp+16 same, 10 gap same, 20 rsp+24 same, 30 gap same");
        CHECK(rows && cprof_unwind_rows_n_bad(rows) == 1);
        cprof_unwind_rows_destroy(rows);
        free(image);
    }
}

static void test_depth_of_kept_states(void)
{
    struct image *image = image_create();
    char program[129] = "";

    put_cie(image, USUAL);
    memset(program, 0x0a, 64);
    memset(program + 64, 0x0b, 64);
    put_fde(image, 0, 0x10, (struct bytes){128, program});
    program[64] = 0x0a;
    put_fde(image, 0x10, 0x10, (struct bytes){65, program});
    put_header(image);
    CHECK_EQ(check_rows(image, "0 rsp+8 same, 10 gap same"), 1);
    free(image);
}

int main(void)
{
    RUN(test_instructions);
    RUN(test_expressions);
    RUN(test_signal_frames);
    RUN(test_cies);
    RUN(test_set_loc);
    RUN(test_malformed_programs);
    RUN(test_depth_of_kept_states);
    return test_report(__FILE__);
}
