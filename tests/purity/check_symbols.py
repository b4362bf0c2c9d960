"""The pure libraries call nothing but a short list: no clock, no allocation, no I/O, no random numbers."""
import re
import subprocess
import sys

# bcmp: what clang makes of a memcmp() for equality.
ALLOWED = re.compile(r"^(mem(cpy|set|cmp|move)|bcmp|strlen|strcmp|ceil|floor|sqrt|pow|erfc|__assert_fail|__stack_chk_fail|"
                     r"_GLOBAL_OFFSET_TABLE_|__cpu_model|__cpu_indicator_init|__mem(cpy|set|move)_chk)$")
# keys.c alone calls libcrypto, which allocates (and says so in its header).
CRYPTO = re.compile(r"^(EVP_|OSSL_|OPENSSL_cleanse|CRYPTO_memcmp)")


def symbols(library, kind):
    out = subprocess.run(["nm", kind, library], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in out.splitlines() if line.strip() and not line.endswith(":")}


def main():
    libraries = sys.argv[1:]
    defined, errors = set(), []
    for library in libraries:
        defined |= symbols(library, "--defined-only")
    for library in libraries:
        for name in sorted(symbols(library, "-u") - defined):
            is_crypto = "lorawan" in library and CRYPTO.match(name)
            if not ALLOWED.match(name) and not is_crypto:
                errors.append(f"{library}: {name}")
    print("\n".join(errors))
    print(f"{len(libraries)} libraries, {len(errors)} forbidden symbols")
    return 1 if errors or not libraries else 0


if __name__ == "__main__":
    sys.exit(main())
