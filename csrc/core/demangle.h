/* demangle.h - readable names: C++ (Itanium), Rust legacy and Rust v0.
 *
 * C++ goes through the system's libstdc++ (__cxa_demangle, opened when first needed;
 * where it is missing names stay mangled). Rust is decoded here, without the hash. */
#ifndef CPROF_DEMANGLE_H
#define CPROF_DEMANGLE_H

#include <stddef.h>

enum { CPROF_DEMANGLE_MAX = 16 * 1024 };

/* The readable form of `name`: *ret owned (free), or NULL when it is not a mangled name
 * or cannot be decoded. 0 or -ENOMEM. Suffixes that compilers append (".cold", ".isra.0",
 * ".part.1", ".llvm.123") are kept, in the form " [clone .cold]" as c++filt does; hashes
 * of Rust (17h...E) and .llvm. suffixes of Rust names are dropped. Versions
 * ("@GLIBC_2.2") and "@plt" are set aside first and put back. */
int cprof_demangle(const char *name, char **ret);

#endif
