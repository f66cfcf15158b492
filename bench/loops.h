/* SPDX-License-Identifier: MIT
 *
 * The measured loops of the benchmarks. cgc.h is for C, so everything that uses the library, or that a library
 * call is compared with and is C, is a function here; the C++ side only calls it between two looks at the clock.
 * A loop that returns nothing does LOOP operations.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include <stdbool.h>
#include <stddef.h>

#define LOOP 1024
/* Objects in a batch. */
#define BATCH 1000
/* The object everything is about: two references and 32 bytes of payload. */
#define PAYLOAD 48
/* Objects a loop goes around; with one object each operation waits for the store of the one before. */
#define ROTATION 64

/* The compiler may not know which object this is, so it cannot merge what comes before with what comes after. */
#define KEEP(pointer) __asm__ volatile("" : "+r"(pointer))
/* Nor what is in it: the memory is written, and the allocation is not left out. */
#define ESCAPE(pointer) __asm__ volatile("" : "+r"(pointer) : : "memory")

#ifdef __cplusplus
extern "C" {
#endif

/* ---- loops_count.c: retain and release ---- */

enum holding {
	HOLD_PRIVATE, /* made by the calling thread, and its alone */
	HOLD_OWNER,   /* the same, published */
	HOLD_FOREIGN, /* made and published by another thread, which is alive and sleeps */
	HOLD_IMMORTAL,
};

/* `count` objects that one thread holds for the loops; is_cyclic: of a type with references. */
struct holder;
struct holder *holder_new(enum holding holding, bool is_cyclic, size_t count);
void **holder_objects(struct holder *holder);
void holder_free(struct holder *holder);

/* `mask`: how many objects there are, less one. */
void loop_count(void **objects, size_t mask);

size_t header_bytes(void);

/* ---- loops_alloc.c: allocate and give back ---- */

/* Sizes are 16, 32, 48, 64, 128, 256, 512, 1024. is_cyclic: with two references. */
void loop_cgc_alloc(size_t size, bool is_cyclic);
void loop_cgc_publish(size_t size);
void loop_malloc(size_t size);
void loop_calloc(size_t size);
/* BATCH operations: all made, then all given back in the order they were made. */
void batch_cgc_alloc(size_t size, bool is_cyclic);
void batch_malloc(size_t size);
void batch_calloc(size_t size);

/* ---- loops_field.c: store and load. A holder's objects, which must be cyclic ---- */

void loop_store(void **objects, size_t mask, void **values);
void loop_store_fresh(void **objects, size_t mask);
void loop_load(void **objects, size_t mask);
void loop_borrow(void **objects, size_t mask);
void loop_section_borrow(void **objects, size_t mask);
void loop_section(void);
/* Every object refers to one of `values` in the end, or to nothing. */
void fields_fill(void **objects, size_t mask, void **values);
void fields_clear(void **objects, size_t mask);

/* ---- loops_cycle.c: rings ---- */

/* BATCH objects in rings of `length`, made, dropped and collected; returns how many were. */
long rings_cgc(size_t length);
void rings_malloc(size_t length);
/* `count` rings of RING published objects each, held by a handle each. */
#define RING 10
struct rings;
struct rings *rings_hold(size_t count);
void rings_drop(struct rings *rings);
/* A look at the whole old generation; returns how many objects it freed. */
long rings_look(void);
void automatic_collection(bool is_on);
int start_library(void);

/* ---- loops_bdwgc.c: the same with Boehm's collector, on the main thread ---- */

void bdwgc_start(void);
unsigned bdwgc_version(void); /* major, minor and micro, 8 bits each */
void loop_bdwgc(size_t size);
void batch_bdwgc(size_t size);
void rings_bdwgc(size_t length);
/* Seconds that a collection takes with `rings` live rings; negative if it could not be measured. In a process of
 * its own: the heap never gets small again, and collections would get rare for all that comes later. */
double bdwgc_look(size_t rings);

/* ---- loops_urcu_*.c: the flavours of liburcu. The calling thread is attached to the library ---- */

struct urcu_flavour {
	const char *name;
	void (*enter)(void); /* a thread, before the others, and after */
	void (*leave)(void);
	void (*loop)(void); /* LOOP read sections; qsbr: quiescent states */
	void (*synchronize)(void);
};
extern const struct urcu_flavour urcu_flavour_memb, urcu_flavour_bp, urcu_flavour_qsbr;

#ifdef __cplusplus
}
#endif

#endif
