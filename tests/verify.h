/* SPDX-License-Identifier: MIT
 *
 * For the tests of cgc_debug_verify(): the background thread held between two rounds, so that queues stay as they are
 * and a test may write to any word of the heap; and what is said when one word is wrong.
 */
#ifndef TESTS_VERIFY_H
#define TESTS_VERIFY_H

#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "node.h"

#include "count.h"
#include "pause.h"

/* ---------------------------------------------------------------------------------------------
 * The background thread at rest
 * ------------------------------------------------------------------------------------------- */

static sem_t is_held, may_go_on;
static atomic_bool is_to_hold;

UNUSED static void stop_between_rounds(const char *point)
{
	/* Pairs: hold(). */
	if (strcmp(point, "collector.round_due") != 0 ||
	    !atomic_exchange_explicit(&is_to_hold, false, memory_order_acq_rel))
		return;
	sem_post(&is_held);
	while (sem_wait(&may_go_on) != 0)
		;
}

UNUSED static void ask_to_hold(void)
{
	/* Pairs: stop_between_rounds(). */
	atomic_store_explicit(&is_to_hold, true, memory_order_release);
	cgc__collector_wake();
}

/* From here to let_go() the caller alone uses the heap. */
UNUSED static void hold(void)
{
	ask_to_hold();
	while (sem_wait(&is_held) != 0)
		;
}

UNUSED static void let_go(void)
{
	sem_post(&may_go_on);
}

static bool has_slabs(void)
{
	pthread_mutex_lock(&cgc__self->slabs_lock);
	bool has = cgc__self->slab_count > 0;
	pthread_mutex_unlock(&cgc__self->slabs_lock);
	return has;
}

/* The slabs that earlier tests have left go back, so that this one's are new: cells that were never used come next.
 * One that holds an immortal object stays. */
static void begin_without_slabs(void)
{
	cgc_thread_detach();
	cgc_thread_attach();
	for (int i = 0; i < 20 && has_slabs(); i++)
		cgc_collect(2);
}

static int start_held(const char *options)
{
	sem_init(&is_held, 0, 0);
	sem_init(&may_go_on, 0, 0);
	cgc__pause_handle(stop_between_rounds);
	int error = start_with(options);
	if (error == 0) {
		begin_without_slabs();
		hold();
	}
	return error;
}

/* yield: pause points are passed; hardly any yields. */
#define HELD_OPTIONS "enable=0,poison=1,yield=4294967295"

UNUSED static int setup_held(void **state)
{
	(void)state;
	return start_held(HELD_OPTIONS);
}

UNUSED static int teardown_held(void **state)
{
	let_go();
	settle();
	int error = teardown(state);
	cgc__pause_handle(NULL);
	return error;
}

#define TEST_HELD(function) cmocka_unit_test_setup_teardown(function, setup_held, teardown_held)

/* Exactly one round of the background thread. */
UNUSED static void one_round(void)
{
	ask_to_hold();
	let_go();
	while (sem_wait(&is_held) != 0)
		;
}

/* ---------------------------------------------------------------------------------------------
 * What is said
 * ------------------------------------------------------------------------------------------- */

static char said[16384];

/* cgc__verify_all() with its lines in `said`. */
UNUSED static size_t verify(void)
{
	FILE *file = tmpfile();
	int standard_error = dup(STDERR_FILENO);
	MUST(file != NULL && standard_error >= 0);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	size_t violations = cgc__verify_all();
	fflush(stderr);
	dup2(standard_error, STDERR_FILENO);
	close(standard_error);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = '\0';
	fclose(file);
	return violations;
}

static size_t lines_said(void)
{
	size_t lines = 0;
	for (const char *line = said; *line != '\0'; lines++) {
		static const char start[] = "cgc: cgc_debug_verify: ";
		MUST(strncmp(line, start, sizeof(start) - 1) == 0);
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return lines;
}

#define assert_sound() assert_sound_at(__LINE__)
UNUSED static void assert_sound_at(int line)
{
	size_t violations = verify();
	if (violations != 0 || said[0] != '\0')
		fail_msg("line %d: %zu violations in a sound heap:\n%s", line, violations, said);
}

UNUSED static void expect_wrong(void *word, size_t bytes, uint64_t value, size_t times, const char *what,
                                int line)
{
	uint64_t right;
	memcpy(&right, word, bytes);
	memcpy(word, &value, bytes);
	size_t violations = verify(), lines = lines_said();
	memcpy(word, &right, bytes);
	if (violations != times || lines != times || strstr(said, what) == NULL)
		fail_msg("line %d: %zu violations, expected %zu with \"%s\":\n%s", line, violations, times,
		         what, said);
	assert_sound_at(line);
}

/* With this value in the word, so many violations are told, that one among them; none once it is right again. */
#define WRONG_TIMES(times, word, value, what) \
	expect_wrong((void *)&(word), sizeof(word), (uint64_t)(value), (times), (what), __LINE__)
#define WRONG(word, value, what) WRONG_TIMES(1, word, value, what)

/* Any word of at most 64 bits, atomic or not, as it is. */
#define WORD(word) word_at((const void *)&(word), sizeof(word))
UNUSED static uint64_t word_at(const void *word, size_t bytes)
{
	uint64_t value = 0;
	memcpy(&value, word, bytes);
	return value;
}

/* For pointers. */
#define AS_WORD(pointer) ((uint64_t)(uintptr_t)(pointer))

static node_ref root;

/* A published object that only the root holds: merged, its count 1 and in shared. */
UNUSED static struct node *make_in_root(void)
{
	struct node *node = make_of(&plain_type, 1);
	cgc_store_consume(CGC_ROOT, &root, node);
	return node;
}

UNUSED static void empty_root(void)
{
	cgc_store(CGC_ROOT, &root, NULL);
}

#endif
