/* SPDX-License-Identifier: MIT
 *
 * Calls of the system that fail while the library starts or a thread is attached: the call that needed them says so
 * and nothing has happened, so that it may be made again.
 *
 * The calls pass through this program (the linker's --wrap=...). Each scene has a process of its own, because what
 * is done once in a process can fail only once.
 */
#include <semaphore.h>

#include "child.h"

/* ---------------------------------------------------------------------------------------------
 * Calls
 * ------------------------------------------------------------------------------------------- */

enum call { NONE, CREATE_THREAD, CREATE_KEY, SET_KEY, AT_FORK, INIT_SEMAPHORE, GET_MEMORY, CALLS };

static _Atomic(enum call) failing; /* for the calling thread and those that it starts */
static atomic_int failing_from;    /* so many calls succeed first */
static atomic_int failed;

static bool fails(enum call call)
{
	/* Set before the threads that look at it are started. */
	if (atomic_load_explicit(&failing, memory_order_acquire) != call)
		return false;
	if (atomic_fetch_sub_explicit(&failing_from, 1, memory_order_acq_rel) > 0)
		return false;
	count_up(&failed);
	return true;
}

static void let_fail(enum call call, int from)
{
	count_clear(&failed);
	atomic_store_explicit(&failing_from, from, memory_order_release);
	atomic_store_explicit(&failing, call, memory_order_release);
}

/* REAL and WRAPPED name what the linker makes of a wrapped call. */
#define REAL(name) __asm__("__real_" #name)
#define WRAPPED(name) __asm__("__wrap_" #name)

int real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) REAL(pthread_create);
int wrapped_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)
	WRAPPED(pthread_create);
int real_pthread_key_create(pthread_key_t *, void (*)(void *)) REAL(pthread_key_create);
int wrapped_pthread_key_create(pthread_key_t *, void (*)(void *)) WRAPPED(pthread_key_create);
int real_pthread_setspecific(pthread_key_t, const void *) REAL(pthread_setspecific);
int wrapped_pthread_setspecific(pthread_key_t, const void *) WRAPPED(pthread_setspecific);
int real_pthread_atfork(void (*)(void), void (*)(void), void (*)(void)) REAL(pthread_atfork);
int wrapped_pthread_atfork(void (*)(void), void (*)(void), void (*)(void)) WRAPPED(pthread_atfork);
int real_sem_init(sem_t *, int, unsigned) REAL(sem_init);
int wrapped_sem_init(sem_t *, int, unsigned) WRAPPED(sem_init);
void *real_mallocx(size_t, int) REAL(mallocx);
void *wrapped_mallocx(size_t, int) WRAPPED(mallocx);

int wrapped_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                           void *argument)
{
	return fails(CREATE_THREAD) ? EAGAIN : real_pthread_create(thread, attributes, run, argument);
}

int wrapped_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	return fails(CREATE_KEY) ? EAGAIN : real_pthread_key_create(key, destructor);
}

int wrapped_pthread_setspecific(pthread_key_t key, const void *value)
{
	return value != NULL && fails(SET_KEY) ? ENOMEM : real_pthread_setspecific(key, value);
}

int wrapped_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return fails(AT_FORK) ? ENOMEM : real_pthread_atfork(prepare, parent, child);
}

int wrapped_sem_init(sem_t *semaphore, int is_shared, unsigned value)
{
	if (!fails(INIT_SEMAPHORE))
		return real_sem_init(semaphore, is_shared, value);
	errno = ENOSPC;
	return -1;
}

void *wrapped_mallocx(size_t bytes, int flags)
{
	return fails(GET_MEMORY) ? NULL : real_mallocx(bytes, flags);
}

static const struct {
	const char *name;
	int error;
} calls[CALLS] = {
	[NONE] = {"nothing", 0},
	[CREATE_THREAD] = {"pthread_create", EAGAIN},
	[CREATE_KEY] = {"pthread_key_create", EAGAIN},
	[SET_KEY] = {"pthread_setspecific", ENOMEM},
	[AT_FORK] = {"pthread_atfork", ENOMEM},
	[INIT_SEMAPHORE] = {"sem_init", ENOSPC},
	[GET_MEMORY] = {"mallocx", ENOMEM},
};

/* ---------------------------------------------------------------------------------------------
 * Scenes
 * ------------------------------------------------------------------------------------------- */

/* The scene's argument. */
static enum call chosen(void)
{
	const char *name = getenv("FAILING_CALL");
	MUST(name != NULL);
	for (enum call call = NONE; call < CALLS; call++)
		if (strcmp(calls[call].name, name) == 0)
			return call;
	abort();
}

static void expect(int error, int wanted)
{
	if (error != wanted) {
		fprintf(stderr, "%s failed: expected error %d, got %d\n", calls[chosen()].name, wanted, error);
		abort();
	}
}

static void *use(UNUSED void *argument)
{
	struct node *node = make_ring(3);
	struct cgc_weak *weak = cgc_weak_new(node, count_callback, NULL);
	MUST(weak != NULL && is_alive(weak));
	cgc_release(node);
	cgc_release(make_ring(2));
	cgc_collect(2);
	MUST(cgc_weak_load(weak) == NULL);
	cgc_weak_free(weak);
	return NULL;
}

static void use_all_and_stop(void)
{
	in_thread(use, NULL);
	use(NULL);
	MUST(cgc_stop() == 0);
}

/* What is done once in a process does not succeed later; all else does. */
static bool is_for_good(enum call call)
{
	return call == CREATE_KEY || call == AT_FORK;
}

static void play_start(void)
{
	enum call call = chosen();
	for (int i = 0; i < 5; i++) {
		let_fail(call, 0);
		expect(cgc_start("enable=0"), calls[call].error);
		MUST(count_of(&failed) > 0 || is_for_good(call));
		MUST(stats_now().threads == 0);
	}
	/* Not running: stopping it does nothing. */
	MUST(cgc_stop() == 0);
	let_fail(NONE, 0);
	if (is_for_good(call))
		return;
	for (int i = 0; i < 3; i++) {
		expect(cgc_start("enable=0"), 0);
		expect(cgc_start("enable=0"), EALREADY);
		use_all_and_stop();
	}
}

/* After a good start and a stop, another start fails. */
static void play_start_again(void)
{
	enum call call = chosen();
	expect(cgc_start("enable=0"), 0);
	use_all_and_stop();
	let_fail(call, 0);
	expect(cgc_start("enable=0"), calls[call].error);
	let_fail(NONE, 0);
	expect(cgc_start("enable=0"), 0);
	use_all_and_stop();
}

/* The first use starts the library: the one call that can say why it cannot. */
static void play_attach_first(void)
{
	enum call call = chosen();
	let_fail(call, 0);
	expect(cgc_thread_attach(), calls[call].error);
	expect(cgc_thread_attach(), calls[call].error);
	let_fail(NONE, 0);
	if (is_for_good(call))
		return;
	expect(cgc_thread_attach(), 0);
	use_all_and_stop();
}

static void *attach_in_vain(UNUSED void *argument)
{
	enum call call = chosen();
	let_fail(call, 0);
	for (int i = 0; i < 10; i++)
		expect(cgc_thread_attach(), calls[call].error);
	MUST(count_of(&failed) == 10);
	let_fail(NONE, 0);
	expect(cgc_thread_attach(), 0);
	use(NULL);
	return NULL;
}

static atomic_uint first_bias, second_bias;

static void *note_first(UNUSED void *argument)
{
	MUST(cgc_thread_attach() == 0);
	atomic_store_explicit(&first_bias, cgc__private_bias, memory_order_release);
	return NULL;
}

static void *attach_a_later_thread(UNUSED void *argument)
{
	attach_in_vain(NULL);
	atomic_store_explicit(&second_bias, cgc__private_bias, memory_order_release);
	return NULL;
}

/* A thread that could not be attached has taken nothing with it: the next one gets the same context. */
static void play_attach_later(void)
{
	MUST(cgc_start("enable=0") == 0);
	MUST(cgc_thread_attach() == 0);
	uint64_t before = stats_now().threads;
	if (chosen() == GET_MEMORY) {
		in_thread(attach_in_vain, NULL); /* for a new context */
	} else {
		in_thread(note_first, NULL);
		in_thread(attach_a_later_thread, NULL);
		MUST(atomic_load_explicit(&first_bias, memory_order_acquire) ==
		     atomic_load_explicit(&second_bias, memory_order_acquire));
	}
	MUST(stats_now().threads == before);
	use_all_and_stop();
}

static void *use_in_vain(UNUSED void *argument)
{
	let_fail(chosen(), 0);
	cgc_release(cgc_new(&leaf_type));
	return NULL;
}

static void play_use_first(void)
{
	use_in_vain(NULL);
}

static void play_use_later(void)
{
	MUST(cgc_start("enable=0") == 0);
	MUST(cgc_thread_attach() == 0);
	in_thread(use_in_vain, NULL);
}

static bool let_succeed(UNUSED size_t bytes)
{
	let_fail(NONE, 0);
	return true;
}

/* Without memory to attach it, a thread's first allocation fails as any other. */
static void *allocate_first(UNUSED void *argument)
{
	let_fail(chosen(), 0);
	MUST(cgc_try_new(&leaf_type) == NULL);
	MUST(cgc_try_new_n(&array_type, 2) == NULL);
	MUST(count_of(&failed) > 0);
	cgc_set_oom_handler(let_succeed);
	void *leaf = cgc_new(&leaf_type);
	cgc_set_oom_handler(NULL);
	cgc_release(leaf);
	return NULL;
}

static void play_allocate_later(void)
{
	MUST(cgc_start("enable=0") == 0);
	MUST(cgc_thread_attach() == 0);
	in_thread(allocate_first, NULL);
	use_all_and_stop();
}

static void play_allocate_first(void)
{
	allocate_first(NULL);
	use_all_and_stop();
}

static const struct scene scenes[] = {
	{"allocate_first", play_allocate_first},
	{"allocate_later", play_allocate_later},
	{"start", play_start},
	{"start_again", play_start_again},
	{"attach_first", play_attach_first},
	{"attach_later", play_attach_later},
	{"use_first", play_use_first},
	{"use_later", play_use_later},
};

/* ---------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------- */

static void choose(enum call call)
{
	assert_int_equal(setenv("FAILING_CALL", calls[call].name, 1), 0);
}

static void ends_well_failing(const char *scene, enum call call)
{
	choose(call);
	assert_ends_well(scene, NULL);
}

static void a_start_that_fails_says_why_and_may_be_repeated(UNUSED void **state)
{
	ends_well_failing("start", CREATE_THREAD);
	ends_well_failing("start", INIT_SEMAPHORE);
}

/* Also what the background thread needs for itself is the start's. */
static void a_start_whose_thread_cannot_be_attached_says_why(UNUSED void **state)
{
	ends_well_failing("start", GET_MEMORY);
	ends_well_failing("start", SET_KEY);
	ends_well_failing("start", CREATE_KEY);
	ends_well_failing("start", AT_FORK);
}

static void a_later_start_may_fail_as_the_first(UNUSED void **state)
{
	ends_well_failing("start_again", CREATE_THREAD);
	ends_well_failing("start_again", INIT_SEMAPHORE);
	ends_well_failing("start_again", SET_KEY);
}

static void a_first_attach_says_why_the_library_cannot_start(UNUSED void **state)
{
	ends_well_failing("attach_first", CREATE_THREAD);
	ends_well_failing("attach_first", INIT_SEMAPHORE);
	ends_well_failing("attach_first", GET_MEMORY);
	ends_well_failing("attach_first", SET_KEY);
	ends_well_failing("attach_first", CREATE_KEY);
	ends_well_failing("attach_first", AT_FORK);
}

static void a_first_allocation_without_memory_to_attach_may_be_tried_again(UNUSED void **state)
{
	ends_well_failing("allocate_first", GET_MEMORY);
	ends_well_failing("allocate_later", GET_MEMORY);
	ends_well_failing("allocate_later", SET_KEY);
}

static void a_thread_that_cannot_be_attached_may_try_again(UNUSED void **state)
{
	ends_well_failing("attach_later", SET_KEY);
	ends_well_failing("attach_later", GET_MEMORY);
}

static void a_use_without_a_library_that_can_start_ends_with_a_message(UNUSED void **state)
{
	for (enum call call = CREATE_THREAD; call < CALLS; call++) {
		choose(call);
		assert_aborts("use_first", NULL, "cgc_thread_attach", strerror(calls[call].error));
	}
}

static void a_use_by_a_thread_that_cannot_be_attached_ends_with_a_message(UNUSED void **state)
{
	choose(SET_KEY);
	assert_aborts("use_later", NULL, "cgc_thread_attach", strerror(ENOMEM));
	choose(GET_MEMORY);
	assert_aborts("use_later", NULL, "cgc_thread_attach", strerror(ENOMEM));
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_that_fails_says_why_and_may_be_repeated),
		cmocka_unit_test(a_start_whose_thread_cannot_be_attached_says_why),
		cmocka_unit_test(a_later_start_may_fail_as_the_first),
		cmocka_unit_test(a_first_attach_says_why_the_library_cannot_start),
		cmocka_unit_test(a_thread_that_cannot_be_attached_may_try_again),
		cmocka_unit_test(a_first_allocation_without_memory_to_attach_may_be_tried_again),
		cmocka_unit_test(a_use_without_a_library_that_can_start_ends_with_a_message),
		cmocka_unit_test(a_use_by_a_thread_that_cannot_be_attached_ends_with_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
