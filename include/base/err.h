/*
 * err.h - the error codes of every module, and their texts.
 *
 * Pure. A function that can fail returns `enum err`; ERR_OK is 0. Which codes a function returns,
 * and why, stands at its declaration. Codes say what kind of thing went wrong; the impure modules
 * add the context in words.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

#define ERR_LIST(X)                                                                                \
    X(ERR_OK, "no error")                                                                          \
    X(ERR_RANGE, "a value is out of its range")                                                    \
    X(ERR_SPACE, "a buffer is too small")                                                          \
    X(ERR_SHORT, "the input ends too early")                                                       \
    X(ERR_FORMAT, "the input is malformed")                                                        \
    X(ERR_UNKNOWN, "the input holds something unknown")                                            \
    X(ERR_MISSING, "something needed is missing")                                                  \
    X(ERR_EXISTS, "it exists already")                                                             \
    X(ERR_WRONG_STATE, "not possible in this state")                                                     \
    X(ERR_LIMIT, "a limit is reached")                                                             \
    X(ERR_NO_MEMORY, "out of memory")                                                              \
    X(ERR_CRYPTO, "the crypto library failed")                                                     \
    X(ERR_IO, "input or output failed")                                                            \
    X(ERR_TIMEOUT, "no answer in time")                                                            \
    X(ERR_REFUSED, "the peer refused")                                                             \
    X(ERR_UNAVAILABLE, "the peer cannot be reached")

enum err {
#define ERR_ENUM(name, text) name,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* The text of `err`; a fixed text for a value that is none of them. Never NULL. */
const char *err_text(enum err err);

#endif
