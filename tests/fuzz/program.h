/* SPDX-License-Identifier: MIT
 *
 * A random program: a flat list of operations, each with its thread. Any list is a valid program, because an operation
 * that finds its operands empty does nothing; so a failing one can be cut down by leaving operations out.
 *
 * As bytes, which is what libFuzzer changes and what a failure is saved as: two bytes (threads, options), then six for
 * each operation (code, thread, a, b, c, d). `code` goes through a table that makes some operations more frequent.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HANDS 12u    /* owned references of each thread */
#define ROOTS 8u     /* shared by all */
#define WEAKS 6u     /* weak references of each thread */
#define MAILBOXES 3u /* handles on their way to another thread */
#define BORROWED 4u  /* of each thread, in its section */
#define THREADS_MAX 8u
#define OPTION_SETS 12u

/* Name, how frequent (their sum is 256), and how it reads: $a to $d are hands, and so on (program.c). */
#define OPERATIONS(X)                                                      \
	X(NEW, 26, "h$a = new $k")                                         \
	X(RING, 9, "h$a = ring of $n $k")                                  \
	X(RETAIN, 10, "h$b = retain h$a")                                  \
	X(RELEASE, 22, "release h$a")                                      \
	X(STORE, 30, "store $p <- $v")                                     \
	X(CONSUME, 16, "store_consume $p <- h$b")                          \
	X(EXCHANGE, 16, "h$b = exchange $p <- h$b")                        \
	X(COMPARE, 10, "compare_exchange $p: $e -> $v")                    \
	X(LOAD, 20, "h$b = load $p")                                       \
	X(CLEAR, 15, "store $p <- NULL")                                   \
	X(ENTER, 6, "read_lock")                                           \
	X(LEAVE, 6, "read_unlock")                                         \
	X(BORROW, 10, "b$b = borrow $p")                                   \
	X(KEEP, 4, "h$b = retain b$a")                                     \
	X(PUBLISH, 2, "publish h$a")                                       \
	X(SEND, 6, "h$a = exchange of mailbox $b with $t h$a")             \
	X(IMMORTALIZE, 1, "immortalize h$a, one in 32 ($d)")               \
	X(WEAK_NEW, 8, "w$b = weak_new h$a, $w")                           \
	X(WEAK_LOAD, 8, "h$b = weak_load w$a")                             \
	X(WEAK_FREE, 3, "weak_free w$a")                                   \
	X(CHECK, 4, "check h$a")                                           \
	X(YOUNG, 5, "collect $g")                                          \
	X(COLLECT, 1, "collect 2, one in 8 ($d)")                          \
	X(PARK, 2, "park, unpark")                                         \
	X(DETACH, 1, "thread_detach, thread_attach")                       \
	X(EXIT, 1, "thread exits, another takes its place, one in 4 ($d)") \
	X(SETTING, 2, "setting $d: threshold $b, enable, disable or fail") \
	X(DROP, 1, "release all hands")                                    \
	X(STORM, 4, "$n times: h$a = new $k, store it in $p")              \
	X(CAROUSEL, 2, "h$a = carousel of $k, $d: how often")              \
	X(CLOSE, 4, "store_consume (object of h$a.$b).$c <- h$a")          \
	X(QUIET, 1, "quiet point ($d; below 32: with stop and start; below 96: the detector is waited for)")

#define ENUMERATE(name, weight, text) name,
enum code { OPERATIONS(ENUMERATE) CODES };

struct op {
	uint8_t code, thread, a, b, c, d;
};

struct program {
	uint64_t seed; /* 0: from bytes */
	unsigned threads;
	unsigned options;
	bool together; /* threads run at the same time; otherwise one operation after the other, as listed */
	size_t count;
	struct op *ops;
};

const char *program_options(unsigned number);
void program_generate(struct program *program, uint64_t seed, unsigned threads, size_t count, bool together);
void program_read(struct program *program, const uint8_t *bytes, size_t length);
void program_write(const struct program *program, FILE *file);
void program_print(const struct program *program, FILE *file);
void program_free(struct program *program);

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif
