/* SPDX-License-Identifier: MIT
 *
 * Memory stays bounded while the detector does not run: it is held at a pause point, and threads make nothing but
 * garbage. The promise is in src/pace.c.
 */
#include <math.h>
#include <string.h>

#include "../node.h"
#include "pause.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_held, is_free;
static _Thread_local bool is_mutator;

/* Whoever is no mutator is the background thread. */
static void hold_detector(const char *point)
{
	if (is_mutator || strcmp(point, "window.copy_due") != 0)
		return;
	pthread_mutex_lock(&lock);
	is_held = true;
	pthread_cond_broadcast(&changed);
	while (!is_free)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void make_garbage_ring(void)
{
	struct node *node = make(0);
	cgc_publish(node);
	cgc_store(node, &node->slot[0], node);
	cgc_release(node);
}

static void wait_until_held(void)
{
	pthread_mutex_lock(&lock);
	while (!is_held)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

#define THREADS 2
#define SECONDS 10
static atomic_bool is_over;

static void *churn(UNUSED void *argument)
{
	is_mutator = true;
	while (!atomic_load(&is_over))
		for (int i = 0; i < 64; i++)
			make_garbage_ring();
	return NULL;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void garbage_is_bounded_while_the_detector_stands_still(UNUSED void **state)
{
	if (IS_SANITIZED)
		skip(); /* it keeps words of its own for each of some million objects, and takes minutes */
	const double limit = 128.0 * 1048576, slab = 65536;
	is_mutator = true;
	is_held = is_free = false;
	atomic_store(&is_over, false);
	cgc__pause_handle(hold_detector);
	make_garbage_ring(); /* something to look at */
	wait_until_held();
	pthread_t threads[THREADS];
	double began = now(), elapsed;
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(churn, NULL);
	double most = 0;
	while ((elapsed = now() - began) < SECONDS) {
		struct cgc_stats stats = stats_now();
		/* Read before the time, so the bound belongs to a later moment. */
		double x = pow(4 * THREADS * ((now() - began) * 1000) * slab / limit, 0.25);
		double bound = limit * (1 + x) + (THREADS + 1) * slab;
		if ((double)stats.bytes_live > bound)
			fail_msg("%.1f s: %.1f MiB in objects, bound %.1f", elapsed,
			         (double)stats.bytes_live / 1048576, bound / 1048576);
		most = (double)stats.bytes_live > most ? (double)stats.bytes_live : most;
		sched_yield();
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	print_message("# at most %.1f MiB in objects, with %d threads and no detector for %d s\n",
	              most / 1048576, THREADS, SECONDS);
	assert_true(most > limit); /* or nothing was tested */
	assert_true(stats_now().paced_nanoseconds > 0);
	cgc__pause_handle(NULL);
	pthread_mutex_lock(&lock);
	is_free = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	settle();
	assert_int_equal(live(), 0);
}

static int setup_fixed(void **state)
{
	(void)state;
	return start_with("enable=1,poison=1,eager=1,suspects=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(garbage_is_bounded_while_the_detector_stands_still, setup_fixed,
	                                        teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
