/* demangle: names that compilers wrote, and what their own tools call them. */
#include "test.h"

#include <pthread.h>

#include "demangle.h"

struct pair {
    const char *name, *want; /* NULL: not to be decoded */
};

/* Made by rustc (1.95, and nightly for constants of user types) from a program with such
 * functions; read by the rustc-demangle crate 0.1.28 in its alternate form. */
static const struct pair rust[] = {
    {"_RINvCslHcVFiSui7X_1b1fKVNtNtB2_1E1AUEB2_", "b::f::<{b::E::A}>"},
    {"_RINvCslHcVFiSui7X_1b1fKVNtNtB2_1E1BTh3_sn4_EEB2_", "b::f::<{b::E::B(3, -4)}>"},
    {"_RINvCslHcVFiSui7X_1b1fKVNtNtB2_1E1CS1xb1_1yc7f_EEB2_",
     "b::f::<{b::E::C { x: true, y: '\\u{7f}' }}>"},
    {"_RINvCslHcVFiSui7X_1b1gKRe68c3a9226c6c6f0a277127001b_EB2_",
     "b::g::<\"hé\\\"llo\\n'q'\\0\\u{1b}\">"},
    {"_RINvCslHcVFiSui7X_1b1gKRe_EB2_", "b::g::<\"\">"},
    {"_RINvCslHcVFiSui7X_1b1gKRee697a5e69cac_EB2_", "b::g::<\"日本\">"},
    {"_RINvCslHcVFiSui7X_1b1pKVNtB2_1PS1aTh1_E1bAln1_l2_E1cb1_EEB2_",
     "b::p::<{b::P { a: (1,), b: [-1, 2], c: true }}>"},
    {"_RINvCslHcVFiSui7X_1b1qC3f16EB2_", "b::q::<f16>"},
    {"_RINvCslHcVFiSui7X_1b1qC4f128EB2_", "b::q::<f128>"},
    {"_RINvCslHcVFiSui7X_1b1qTC4f128EEB2_", "b::q::<(f128,)>"},
    {"_RINvCslHcVFiSui7X_1b1rKRAh1_h2_hff_EEB2_", "b::r::<{&[1, 2, 255]}>"},
    {"_RINvCslHcVFiSui7X_1b1rKRAh61_h62_h63_EEB2_", "b::r::<{&[97, 98, 99]}>"},
    {"_RINvCslHcVFiSui7X_1b1tKTan1_offffffffffffffffffffffffffffffff_Re78_EEB2_",
     "b::t::<{(-1, 0xffffffffffffffffffffffffffffffff, \"x\")}>"},
    {"_RINvCslHcVFiSui7X_1b1uKVNtB2_1UUEB2_", "b::u::<{b::U}>"},
    {"_RINvCslHcVFiSui7X_1b2rrKRRe696e_EB2_", "b::rr::<{&\"in\"}>"},
    {"_RINvNtNtCs6xxl1lAjzDf_1au8gdel_5qa6escher4bachReEB6_",
     "a::gödel::escher::bach::<&str>"},
    {"_RINvNtNtCs6xxl1lAjzDf_1au8gdel_5qa6escher4bachINtNtCslNYArtu3iFV_"
     "5alloc3vec3VecINtNtCsgEmfK2I1SDS_4core6option6OptionhEEEB6_",
     "a::gödel::escher::bach::<alloc::vec::Vec<core::option::Option<u8>>>"},
    {"_RINvCs6xxl1lAjzDf_1a2fpFEzEB2_", "a::fp::<fn() -> !>"},
    {"_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeINtNtCslNYArtu3iFV_"
     "5alloc5boxed3BoxDNtNtB4_3any3AnyNtNtB4_6marker4SendEL_EECs6xxl1lAjzDf_1a",
     "core::ptr::drop_in_place::<alloc::boxed::Box<dyn core::any::Any + "
     "core::marker::Send>>"},
    {"_RNvXsn_NtCslNYArtu3iFV_5alloc5boxedINtB5_3BoxDNtNtCsgEmfK2I1SDS_"
     "4core3any3AnyNtNtBM_6marker4SendEL_ENtNtBM_3fmt5Debug3fmtCs6xxl1lAjzDf_1a",
     "<alloc::boxed::Box<dyn core::any::Any + core::marker::Send> as "
     "core::fmt::Debug>::fmt"},
    {"_RNSNvYNCINvNtNtCsjrHSEGnQ3l9_3std6thread9lifecycle15spawn_"
     "uncheckedNCNvCs6xxl1lAjzDf_1a4mains5_0uEs_0INtNtNtCsgEmfK2I1SDS_"
     "4core3ops8function6FnOnceuE9call_once6vtableB17_",
     "<std::thread::lifecycle::spawn_unchecked<a::main::{closure#7}, ()>::{closure#1} as "
     "core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}"},
    {"_RINvNtNtCsjrHSEGnQ3l9_3std6thread9lifecycle15spawn_uncheckedNCNvCs6xxl1lAjzDf_"
     "1a4mains5_0uEB10_",
     "std::thread::lifecycle::spawn_unchecked::<a::main::{closure#7}, ()>"},
    {"_RINvNtNtCsjrHSEGnQ3l9_3std3sys9backtrace28___rust_begin_short_"
     "backtraceNCNvCs6xxl1lAjzDf_1a4mains5_0uEB1b_",
     "std::sys::backtrace::__rust_begin_short_backtrace::<a::main::{closure#7}, ()>"},
    {"_RNvMCs6xxl1lAjzDf_1aINtB2_1WKj0_Kb0_Kc22_Kx0_E2goB2_",
     "<a::W<0, false, '\"', 0>>::go"},
    {"_RNvMCs6xxl1lAjzDf_1aINtB2_1WKj0_Kb0_Kc27_Kx0_E2goB2_",
     "<a::W<0, false, '\\'', 0>>::go"},
    {"_ZN50_$LT$$LP$U$C$T$RP$$u20$as$u20$core..fmt..Debug$GT$3fmt17hc27328848fd559c6E",
     "<(U,T) as core::fmt::Debug>::fmt"},
    {"_ZN4core3ptr52drop_glue$LT$$LP$u32$C$alloc..string..String$RP$$GT$"
     "17haf88905b32ee7217E",
     "core::ptr::drop_glue<(u32,alloc::string::String)>"},
    {"_ZN1a3asy28_$u7b$$u7b$closure$u7d$$u7d$17ha9b7e78d9d58a0d1E",
     "a::asy::{{closure}}"},
    {"_ZN1a4asy228_$u7b$$u7b$closure$u7d$$u7d$17hc8fb67ddfb304221E",
     "a::asy2::{{closure}}"},
    {"_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h1002d7c152610f36E",
     "<&T as core::fmt::Debug>::fmt"},
    {"_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h1c546ff19f0f701dE",
     "<&T as core::fmt::Debug>::fmt"},
    {"_ZN34_$LT$a..Sq$u20$as$u20$a..Shape$GT$4area17haa1c8ddba29ac1feE",
     "<a::Sq as a::Shape>::area"},
    {"_ZN34_$LT$a..Sq$u20$as$u20$a..Shape$GT$5boxed17h7f48b3984fe91fe8E",
     "<a::Sq as a::Shape>::boxed"},
    {"_ZN4core3ptr9const_ptr33_$LT$impl$u20$$BP$const$u20$T$GT$13is_aligned_"
     "to17h50fdcb16af414c38E",
     "core::ptr::const_ptr::<impl *const T>::is_aligned_to"},
    {"_ZN4core3ptr9const_ptr33_$LT$impl$u20$$BP$const$u20$T$GT$20offset_from_"
     "unsigned18precondition_check17hc26edba07aa995fcE",
     "core::ptr::const_ptr::<impl *const T>::offset_from_unsigned::precondition_check"},
    {"_ZN4core5slice29_$LT$impl$u20$$u5b$T$u5d$$GT$7reverse17h295eabf3c4fb855aE",
     "core::slice::<impl [T]>::reverse"},
    {"_ZN5alloc5slice29_$LT$impl$u20$$u5b$T$u5d$$GT$7sort_by17hafdfad26befde041E",
     "alloc::slice::<impl [T]>::sort_by"},
    {"_ZN1a22W$LT$_$C$_$C$_$C$_$GT$2go17h380d0a43fd0ef0f8E", "a::W<_,_,_,_>::go"},
    {"_ZN1a22W$LT$_$C$_$C$_$C$_$GT$2go17h39f6a27f0d92b9d9E", "a::W<_,_,_,_>::go"},
};

/* By hand from the grammar; the readable forms are the crate's too. */
static const struct pair rust_grammar[] = {
    {"_RNvC1a1b", "a::b"},
    {"_RNvMsr_NtCs3ssYzQotkvD_3std4pathNtB5_7PathBuf3newCs15kBYyAo9fc_7mycrate",
     "<std::path::PathBuf>::new"},
    {"_RINvCs7qp2U7fqm6G_7mycrate7exampleFG0_RL1_hRL0_tEuEB2_",
     "mycrate::example::<for<'a, 'b> fn(&'a u8, &'b u16)>"},
    {"_RINvC1a1fabcdefhijlmnopstuvxyzE",
     "a::f::<i8, bool, char, f64, str, f32, u8, isize, usize, i32, u32, i128, u128, _, "
     "i16, u16, (), ..., i64, u64, !>"},
    {"_RINvC1a1fTEThETmtERhQhPhOhShAhj10_E",
     "a::f::<(), (u8,), (u32, u16), &u8, &mut u8, *const u8, *mut u8, [u8], [u8; 16]>"},
    {"_RINvC1a1fFG0_UKCRL1_mQL0_hEvE",
     "a::f::<for<'a, 'b> unsafe extern \"C\" fn(&'a u32, &'b mut u8) -> ...>"},
    {"_RINvC1a1fFK8C_unwindEuE", "a::f::<extern \"C-unwind\" fn()>"},
    {"_RINvC1a1fDINtC1b1TmEp1AjEL_E", "a::f::<dyn b::T<u32, A = usize>>"},
    {"_RINvC1a1fDNtC1b1Tp1AjNtC1b1SEL_E", "a::f::<dyn b::T<A = usize> + b::S>"},
    {"_RINvC1a1fDNtC1b1TEL_L_E", "a::f::<dyn b::T, '_>"},
    {"_RINvC1a1fKb0_Kb1_KpKc27_Kc5c_Kc1f926_E",
     "a::f::<false, true, _, '\\'', '\\\\', '🤦'>"},
    {"_RINvC1a1fKo10000000000000000_Kyffffffffffffffff_Kan80_E",
     "a::f::<0x10000000000000000, 18446744073709551615, -128>"},
    {"_RINvC1a1fKRe616263_Ke616263_KRRe616263_E",
     "a::f::<\"abc\", {*\"abc\"}, {&\"abc\"}>"},
    {"_RINvC1a1fKTm1_EKTEKAEKQlnff_E", "a::f::<{(1,)}, {()}, {[]}, {&mut -255}>"},
    {"_RINvC1a1fWmRm1_m63_WmORm1_m2_Rm6_m7_EE",
     "a::f::<u32 is 1..=99, u32 is 1..=2 | 6..=7>"},
    {"_RINvC1a1fhB2_E", "a::f::<u8, a>"},
    {"_RNSC1as0_3foo", "a::{shim:foo#2}"},
    {"_RNCNvC1a1bs_0", "a::b::{closure#1}"},
    {"_RNvNtC1au8gdel_5qa3foo", "a::gödel::foo"},
    {"_RNvC1au7___ylb7e", "a::α_ω"},
    {"_RNvC1au6_2xaedc", "a::ρυστ"},
    {"_RNvC1au4fq9h", "a::🤦"},
    {"_RNvC1au6n84amf", "a::铁锈"},
    {"_RNvC1au3_99", NULL},
    {"_RNvC1au13ab_9999999999", "a::punycode{ab-9999999999}"},
    {"_RNvNvMCsd9PVOYlP1UU_7mycrateINtB4_7ExamplepKpE3foo14EXAMPLE_STATIC",
     "<mycrate::Example<_, _>>::foo::EXAMPLE_STATIC"},
    {"_RNvNtCs4fqI2P2rA04_7mycrateu5_nf2a3foo", NULL},
};

/* From gcc; read by c++filt. */
static const struct pair cxx[] = {
    {"_Z3foov", "foo()"},
    {"_ZN3foo3barEi", "foo::bar(int)"},
    {"_ZNSt6vectorIiSaIiEE9push_backERKi",
     "std::vector<int, std::allocator<int> >::push_back(int const&)"},
    {"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"},
    {"_ZTV3foo", "vtable for foo"},
    {"_ZThn8_N1B1fEv", "non-virtual thunk to B::f()"},
    {"_Z3foov.cold", "foo() [clone .cold]"},
    {"_Z3fooi.isra.0.cold", "foo(int) [clone .isra.0] [clone .cold]"},
    {"_Z3fooi.part.1.constprop.0", "foo(int) [clone .part.1] [clone .constprop.0]"},
    {"_Z3fooi.llvm.1234", "foo(int) [clone .llvm.1234]"},
    {"_Z3fooi.123abc", "foo(int) [clone .123abc]"},
    {"_ZN3foo3bar17h0123456789abcdeE", NULL},
};

static const struct pair together[] = {
    {"_Z3foov@plt", "foo()@plt"},
    {"_ZNSaIcEC1Ev@@GLIBCXX_3.4", "std::allocator<char>::allocator()@@GLIBCXX_3.4"},
    {"_RNvC1a1b@plt", "a::b@plt"},
    {"_RNvC1a1b.llvm.1234", "a::b"},
    {"_RNvC1a1b.cold.1.llvm.77", "a::b [clone .cold.1]"},
    {"_ZN3foo3bar17h0123456789abcdefE", "foo::bar"},
    {"_ZN3foo3bar17h0123456789abcdefE.llvm.9F", "foo::bar"},
    {"_ZN3foo3bar17h0123456789abcdefE.cold", "foo::bar [clone .cold]"},
    {"_ZN3foo10_$LT$$u7d$17h0123456789abcdefE", "foo::<}"},
    {"_ZN3foo7$BAD$.a17h0123456789abcdefE", "foo::$BAD$.a"},
    {"_ZN5a..b.17h0123456789abcdefE", "a::b."},
    {"_ZN3foo17h0123456789abcdeFE", "foo::h0123456789abcdeF"}, /* C++: not a hash */
};

static const char *const plain[] = {
    "",
    "main",
    "_",
    "_Z",
    "_R",
    "_R0",
    "_start",
    "i",
    "Z3foov",
    "_ZN",
    "__libc_start",
    "puts@plt",
    "*ABS*+0x1234@plt",
    "[unknown]",
    "xz!fn_0x1234",
    "_RNvC1a",
    "_RNvC1a9b",
    "_RB_",
    "_RNvB_1a",
    "_RINvC1a1fB9_E",
    "_RINvC1a1fL0_E",
    "_RNvC1a1b_",
    "_RINvC1a1fKb2_E",
    "_RINvC1a1fKcd800_E",
    "_RINvC1a1fKRe61f_E",
    "_RINvC1a1fKReff_E",
    "_RINvC1a1fKRec080_E",
    "_RNvC99999999999999999999a1b",
    "_RNvCszzzzzzzzzzzzzz_1a1b",
    "_RINvC1a1fFGzzzzzzz_EuE",
    "_ZN3foo17h0123456789abcdefE_",
};

static void check_pairs(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *readable = NULL;
        CHECK_EQ(cprof_demangle(pairs[i].name, &readable), 0);
        if (pairs[i].want)
            CHECK_STR(readable, pairs[i].want);
        else if (readable)
            fprintf(stderr, "%s: %s\n", pairs[i].name, readable);
        CHECK(!pairs[i].want == !readable);
        free(readable);
    }
}
#define CHECK_PAIRS(pairs) check_pairs(pairs, sizeof(pairs) / sizeof(*(pairs)))

static void test_rust_of_rustc(void)
{
    CHECK_PAIRS(rust);
}

static void test_rust_grammar(void)
{
    CHECK_PAIRS(rust_grammar);
}

static void test_cxx(void)
{
    CHECK_PAIRS(cxx);
}

static void test_what_stands_around_a_name(void)
{
    CHECK_PAIRS(together);
}

static void test_other_names_are_left_alone(void)
{
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        char *readable = NULL;
        CHECK_EQ(cprof_demangle(plain[i], &readable), 0);
        if (readable)
            fprintf(stderr, "%s: %s\n", plain[i], readable);
        CHECK(!readable);
        free(readable);
    }
}

static bool is_decoded(const char *name)
{
    char *readable = NULL;
    bool is_done;

    CHECK_EQ(cprof_demangle(name, &readable), 0);
    is_done = readable;
    free(readable);
    return is_done;
}

/* Any part of a name, and any name with a byte changed: an answer or none, no more. */
static void test_damaged_names(void)
{
    for (size_t i = 0; i < sizeof(rust) / sizeof(*rust); i++) {
        static const char bytes[] = "_0sBCIEKLGpuR.\xff";
        char name[512];
        size_t n = strlen(rust[i].name);
        CHECK(n < sizeof(name));
        for (size_t k = 0; k < n; k++) {
            snprintf(name, sizeof(name), "%.*s", (int)k, rust[i].name);
            is_decoded(name);
            snprintf(name, sizeof(name), "%s", rust[i].name);
            for (size_t b = 0; b < sizeof(bytes); b++) {
                name[k] = bytes[b];
                is_decoded(name);
            }
        }
    }
}

static void repeat(char *at, size_t n, const char *what, size_t times)
{
    size_t step = strlen(what);

    for (size_t i = 0; i < times && (i + 1) * step < n; i++)
        memcpy(at + i * step, what, step + 1);
}

/* Depth, length and growth have their limits. */
static void test_hostile_names(void)
{
    static char name[4 * CPROF_DEMANGLE_MAX];
    size_t n;

    n = (size_t)sprintf(name, "_RINvC1a1f");
    repeat(name + n, sizeof(name) - n, "S", 15000); /* deep */
    strcat(name, "hE");
    CHECK(!is_decoded(name));
    n = (size_t)sprintf(name, "_RMC1a");
    repeat(name + n, sizeof(name) - n, "MC1a", 3000);
    CHECK(!is_decoded(name));
    /* tuples of two back references to the tuple before: 2^40 units */
    n = (size_t)sprintf(name, "_RINvC1a1fTuuE");
    for (size_t last = 8, i = 0; i < 40; i++) {
        static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        char back[8];
        size_t at = n - 2;
        if (last - 1 < 62)
            sprintf(back, "B%c_", digits[last - 1]);
        else
            sprintf(back, "B%c%c_", digits[(last - 1) / 62], digits[(last - 1) % 62]);
        n += (size_t)sprintf(name + n, "T%s%sE", back, back);
        last = at;
    }
    strcat(name, "E");
    CHECK(!is_decoded(name));

    /* the longest name that is looked at, and one longer */
    n = (size_t)sprintf(name, "_RNvC1a%d", CPROF_DEMANGLE_MAX - 12);
    memset(name + n, 'x', CPROF_DEMANGLE_MAX - n);
    name[CPROF_DEMANGLE_MAX] = '\0';
    CHECK(is_decoded(name));
    name[CPROF_DEMANGLE_MAX] = '.';
    name[CPROF_DEMANGLE_MAX + 1] = '\0';
    CHECK(!is_decoded(name));
}

static void *demangle_often(void *arg)
{
    size_t *n_right = arg;

    for (int i = 0; i < 200; i++) {
        char *readable = NULL;
        if (cprof_demangle("_ZN3foo3barEi", &readable) == 0 && readable)
            *n_right += !strcmp(readable, "foo::bar(int)");
        free(readable);
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[4];
    size_t n_right[4] = {0};

    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, demangle_often, &n_right[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(n_right[i], 200);
    }
}

static int attempt(void *arg)
{
    char *readable = NULL;
    int r = cprof_demangle(arg, &readable);

    free(readable);
    return r;
}

static void test_allocation_failures(void)
{
    CHECK_EQ(sweep(attempt, "_ZN3foo3barEi.cold"), 0);
    CHECK_EQ(sweep(attempt, "_RNvNtC1au8gdel_5qa3foo.cold"), 0);
    CHECK_EQ(sweep(attempt, "_ZN3foo3bar17h0123456789abcdefE"), 0);
    CHECK_EQ(sweep(attempt, "main"), 0);
}

int main(void)
{
    RUN(test_threads); /* first: all four open libstdc++ at once */
    RUN(test_rust_of_rustc);
    RUN(test_rust_grammar);
    RUN(test_cxx);
    RUN(test_what_stands_around_a_name);
    RUN(test_other_names_are_left_alone);
    RUN(test_damaged_names);
    RUN(test_hostile_names);
    RUN(test_allocation_failures);
    return test_report(__FILE__);
}
