/* SPDX-License-Identifier: MIT
 *
 * Tests with fork() while the library runs: children that use it, each in one way, and how they end.
 */
#ifndef TESTS_FORK_H
#define TESTS_FORK_H

#include "child.h"

static node_ref root;

/* What the parent has when it forks: of its own, published, in a root, and a weak reference. */
static struct node *own, *theirs;
static struct cgc_weak *weak;

/* ---------------------------------------------------------------------------------------------
 * Children
 * ------------------------------------------------------------------------------------------- */

/* A child that hangs is a failure, not a test without end. */
#define CHILD_SECONDS 20

/* Forks; the child plays and ends with 0 if it comes to the end. Returns how it ended and what it said. */
static void fork_to(void (*play)(void), struct ending *ending)
{
	int ends[2];
	size_t length = 0;
	MUST(pipe(ends) == 0);
	pid_t child = fork();
	MUST(child >= 0);
	if (child == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		dup2(ends[1], STDERR_FILENO);
		alarm(CHILD_SECONDS);
		play();
		_exit(0);
	}
	close(ends[1]);
	for (;;) {
		ssize_t got = read(ends[0], ending->text + length, sizeof(ending->text) - 1 - length);
		if (got > 0)
			length += (size_t)got;
		else if (got == 0 || errno != EINTR)
			break;
	}
	ending->text[length] = '\0';
	close(ends[0]);
	while (waitpid(child, &ending->status, 0) < 0)
		MUST(errno == EINTR);
}

/* The child must be ended for its use, with the message. In any thread. */
UNUSED static bool is_refused(const char *name, void (*play)(void))
{
	struct ending ending;
	fork_to(play, &ending);
	if (WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGABRT &&
	    strncmp(ending.text, "cgc: cgc_", 9) == 0 && strstr(ending.text, "forked child") != NULL &&
	    strstr(ending.text, "exec, or fork before the first use") != NULL)
		return true;
	fprintf(stderr, "%s in a forked child: expected a message and SIGABRT, got status %#x and:\n%s\n", name,
	        ending.status, ending.text);
	return false;
}

UNUSED static bool ends_well(const char *name, void (*play)(void))
{
	struct ending ending;
	fork_to(play, &ending);
	if (WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == 0)
		return true;
	fprintf(stderr, "%s in a forked child: expected success, got status %#x and:\n%s\n", name,
	        ending.status, ending.text);
	return false;
}

/* ---------------------------------------------------------------------------------------------
 * Uses
 * ------------------------------------------------------------------------------------------- */

static void visit_nothing(UNUSED void *referent, UNUSED void *argument)
{
}

/* Uses of the library, each as a function, and a table of them. */
#define EACH_USE(USE)                                                                 \
	USE(new, cgc_new(&node_type))                                                 \
	USE(try_new, cgc_try_new(&leaf_type))                                         \
	USE(new_n, cgc_new_n(&array_type, 100000))                                    \
	USE(try_new_n, cgc_try_new_n(&array_type, 3))                                 \
	USE(retain_own, cgc_retain(own))                                              \
	USE(retain_shared, cgc_retain(theirs))                                        \
	USE(release_own, (cgc_release(own), 0))                                       \
	USE(release_shared, (cgc_release(theirs), 0))                                 \
	USE(load_own, cgc_load(own, &own->slot[0]))                                   \
	USE(load_shared, cgc_load(theirs, &theirs->slot[0]))                          \
	USE(load_root, cgc_load(CGC_ROOT, &root))                                     \
	USE(store_own, (cgc_store(own, &own->slot[0], own), 0))                       \
	USE(store_shared, (cgc_store(theirs, &theirs->slot[0], NULL), 0))             \
	USE(store_root, (cgc_store(CGC_ROOT, &root, theirs), 0))                      \
	USE(consume_own, (cgc_store_consume(own, &own->slot[0], own), 0))             \
	USE(consume_shared, (cgc_store_consume(theirs, &theirs->slot[0], theirs), 0)) \
	USE(exchange_own, cgc_exchange(own, &own->slot[0], NULL))                     \
	USE(exchange_root, cgc_exchange(CGC_ROOT, &root, NULL))                       \
	USE(compare_own, cgc_compare_exchange(own, &own->slot[0], NULL, own))         \
	USE(compare_root, cgc_compare_exchange(CGC_ROOT, &root, NULL, theirs))        \
	USE(read_lock, (cgc_read_lock(), 0))                                          \
	USE(publish_own, (cgc_publish(own), 0))                                       \
	USE(publish_shared, (cgc_publish(theirs), 0))                                 \
	USE(transfer, (cgc_transfer(theirs), 0))                                      \
	USE(immortalize, (cgc_immortalize(theirs), 0))                                \
	USE(weak_new, cgc_weak_new(theirs, NULL, NULL))                               \
	USE(weak_load, cgc_weak_load(weak))                                           \
	USE(weak_free, (cgc_weak_free(weak), 0))                                      \
	USE(collect_0, cgc_collect(0))                                                \
	USE(collect_1, cgc_collect(1))                                                \
	USE(collect_2, cgc_collect(2))                                                \
	USE(attach, cgc_thread_attach())                                              \
	USE(park, (cgc_park(), 0))                                                    \
	USE(unpark, (cgc_unpark(), 0))                                                \
	USE(start, cgc_start(NULL))                                                   \
	USE(stop, cgc_stop())                                                         \
	USE(visit, (cgc_visit_references(theirs, visit_nothing, NULL), 0))

#define USE_FUNCTION(name, ...)      \
	static void use_##name(void) \
	{                            \
		(void)(__VA_ARGS__); \
	}
EACH_USE(USE_FUNCTION)

#define USE_ENTRY(name, ...) {#__VA_ARGS__, use_##name},
UNUSED static const struct scene uses[] = {EACH_USE(USE_ENTRY)};
enum { USES = sizeof(uses) / sizeof(uses[0]) };

UNUSED static void have_something(void)
{
	theirs = make(1);
	cgc_store(CGC_ROOT, &root, theirs);
	weak = cgc_weak_new(theirs, count_callback, NULL);
	own = make(2);
}

UNUSED static void give_it_back(void)
{
	node_check(own);
	node_check(theirs);
	assert_int_equal(cgc_reference_count(own), 1);
	assert_int_equal(cgc_reference_count(theirs), 2);
	assert_true(is_alive(weak));
	cgc_release(own);
	cgc_release(theirs);
	cgc_store(CGC_ROOT, &root, NULL);
	settle();
	assert_int_equal(live(), 0);
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(weak);
}

#endif
