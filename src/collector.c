/* SPDX-License-Identifier: MIT
 *
 * The background thread: grace periods for everybody's queues, and the detector's looks, when there are enough
 * suspects, enough new memory, or enough time has passed. Mutators never wait for it, except in
 * cgc_collect(2).
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "count.h"
#include "window.h"

#define BUSY_WAIT_NS UINT64_C(200000)    /* between rounds while queues hold something */
#define IDLE_WAIT_NS UINT64_C(100000000) /* otherwise, unless woken */
#define LOOK_NS UINT64_C(100000000)      /* suspects wait no longer than this, if looks are cheap */
#define REST_NS UINT64_C(1000000000)     /* without a look, until the copy's memory is given back */
#define SETTLE_ROUNDS 100                /* grace periods that cgc_collect(2) gives busy queues */

/* A thread in cgc_collect(2) or cgc_debug_verify(), on its own stack. */
struct waiter {
	struct waiter *next; /* [lock] */
	long result;         /* [lock] */
	bool is_served;      /* [lock] */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t done;
	pthread_t thread;
	sem_t wake;
	_Atomic(bool) woken, idle, stopping;
	_Atomic(bool) whole_due; /* by CPython's rule */
	bool running;            /* [lock] */
	bool starting;           /* [lock] a thread is in cgc_start() and waits for the answer */
	bool answered;           /* [lock] the background thread is attached, or has failed to be */
	int attach_error;        /* [lock] */
	struct waiter *waiters;  /* [lock] threads in cgc_collect(2) that no look serves yet */
	struct waiter *checkers; /* [lock] threads in cgc_debug_verify(), the same */
	/* The background thread's own: */
	struct cgc__window window;
	uint64_t looked;                     /* nanoseconds: when the last look ended */
	uint64_t decayed;                    /* [collector] when memory was last given to the system */
	uint64_t suspects_kept, died_before; /* of the last sweep, while automatic collection is off */
	uint64_t not_before;                 /* time of the next automatic look */
	_Atomic(uint64_t) collections, candidates, collected, resurrected, nanoseconds, windows, aborted;
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static _Thread_local bool is_background;

bool cgc__collector_is_self(void)
{
	return is_background;
}

void cgc__collector_wake(void)
{
	/* No order needed: the semaphore orders; a wake more or less does no harm. */
	if (!atomic_exchange_explicit(&collector.woken, true, memory_order_relaxed))
		sem_post(&collector.wake);
}

void cgc__collector_wake_if_idle(void)
{
	/* No order needed: a hint; missing it costs one idle wait. */
	if (__builtin_expect(atomic_load_explicit(&collector.idle, memory_order_relaxed), 0))
		cgc__collector_wake();
}

/* CPython's 25 % rule, after a collection of generation 1. */
void cgc__collector_whole_due(void)
{
	/* No order needed, in all of these: numbers that pace. */
	unsigned threshold = atomic_load_explicit(&cgc__heap.threshold[2], memory_order_relaxed);
	/* No order needed: as above. */
	if (atomic_load_explicit(&cgc__heap.elder_collections, memory_order_relaxed) <= threshold ||
	    threshold == 0 ||
	    /* No order needed: as above. */
	    atomic_load_explicit(&cgc__heap.promoted, memory_order_relaxed) <=
	            /* No order needed: as above. */
	            atomic_load_explicit(&cgc__heap.long_lived, memory_order_relaxed) / 4)
		return;
	/* No order needed: a request. */
	if (!atomic_exchange_explicit(&collector.whole_due, true, memory_order_relaxed))
		cgc__collector_wake();
}

static void add(_Atomic(uint64_t) *counter, uint64_t amount)
{
	/* No order needed: statistics. */
	atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static struct cgc__context *all_contexts(void)
{
	/* CONTEXT.r. Pairs: CONTEXT.w in thread.c. */
	return atomic_load_explicit(&cgc__heap.contexts, memory_order_acquire);
}

static uint64_t pending_entries(void)
{
	uint64_t sum = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next)
		sum += cgc__queue_length(&context->pending);
	return sum;
}

static uint64_t suspect_entries(void)
{
	uint64_t sum = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next)
		sum += cgc__queue_length(&context->suspects);
	return sum;
}

/* One grace period for everybody's queues. */
static void round_of_queues(struct cgc__context *self, bool all)
{
	cgc__pending_retry_overflow(self);
	if (cgc__pending_consume_all(self, all) > 0) {
		cgc__grace_wait();
		cgc__pause("collector.round_waited");
		cgc__pending_consume_all(self, all);
	}
	cgc__remote_release_retired(self);
}

static uint64_t pushed_by_others(const struct cgc__context *self)
{
	uint64_t sum = 0;
	for (struct cgc__context *context = all_contexts(); context != NULL; context = context->next)
		if (context != self)
			/* No order needed: a number that says whether others are busy. */
			sum += atomic_load_explicit(&context->pending.pushed, memory_order_relaxed);
	return sum;
}

/* Until everything that is dead by counting now is gone, however deep; bounded if mutators go on making more. */
static void settle_queues(struct cgc__context *self)
{
	int busy_rounds = 0;
	uint64_t before, after = pushed_by_others(self);
	do {
		round_of_queues(self, true);
		before = after;
		after = pushed_by_others(self);
		busy_rounds += before != after;
	} while (pending_entries() > 0 && busy_rounds < SETTLE_ROUNDS);
}

static struct cgc__verdict_result look(struct cgc__context *self, bool whole)
{
	struct cgc__verdict_result result = cgc__verdict_look(self, &collector.window, whole);
	add(&collector.windows, 1);
	add(&collector.candidates, result.candidates);
	add(&collector.collected, result.freed);
	if (result.aborted)
		add(&collector.aborted, 1);
	if (whole && !result.aborted) {
		/* No order needed, in all of these: numbers that pace. */
		atomic_store_explicit(&cgc__heap.long_lived, result.candidates - result.freed,
		                      memory_order_relaxed);
		/* No order needed: as above. */
		atomic_store_explicit(&cgc__heap.promoted, 0, memory_order_relaxed);
		/* No order needed: as above. */
		atomic_store_explicit(&cgc__heap.elder_collections, 0, memory_order_relaxed);
		/* No order needed: as above. */
		atomic_store_explicit(&collector.whole_due, false, memory_order_relaxed);
	}
	return result;
}

/* Looks until finalizers have left nothing to look at; returns how many objects of cyclic types were freed. */
static long collect(struct cgc__context *self, bool whole)
{
	uint64_t began = cgc__report_now(), callbacks = self->callback_ns, by_count = self->freed_condemned;
	size_t freed = 0, kept = 0, freed_kept = 0, candidates = 0;
	int rounds = 0;
	uint64_t bytes = cgc__pace_measure(), ended = self->ended_bytes;
	struct cgc__verdict_result result;
	do {
		result = look(self, whole);
		freed += result.freed;
		candidates += result.candidates;
		freed_kept += kept > 0 ? result.freed : 0;
		kept += result.kept;
		if (result.kept > 0 || whole)
			settle_queues(self);
	} while ((result.kept > 0 || (whole && result.aborted)) && ++rounds < 16);
	by_count = self->freed_condemned - by_count;
	add(&collector.collected, by_count);
	if (kept > by_count + freed_kept)
		add(&collector.resurrected, kept - by_count - freed_kept);
	add(&collector.collections, 1);
	collector.looked = cgc__report_now();
	uint64_t took = collector.looked - began - (self->callback_ns - callbacks);
	add(&collector.nanoseconds, took);
	/* A look that frees little may take a fifth of a processor, one that pays goes on at once. One that was given
	 * up says nothing about that. */
	uint64_t found = freed + by_count, pause = 0;
	if (result.aborted)
		pause = 0;
	else if (found * 16 < candidates)
		pause = 4 * took > LOOK_NS ? 4 * took : LOOK_NS;
	else if (found * 4 < candidates)
		pause = took;
	collector.not_before = cgc__report_now() + (pause > LOOK_NS / 8 ? pause : LOOK_NS / 8);
	if (!result.aborted)
		cgc__pace_renew(bytes, self->ended_bytes - ended);
	return (long)(freed + by_count);
}

static bool has_waiters(void)
{
	pthread_mutex_lock(&collector.lock);
	bool has = collector.waiters != NULL || collector.checkers != NULL;
	pthread_mutex_unlock(&collector.lock);
	return has;
}

static struct waiter *take_waiters(struct waiter **list)
{
	pthread_mutex_lock(&collector.lock);
	struct waiter *taken = *list;
	*list = NULL;
	pthread_mutex_unlock(&collector.lock);
	return taken;
}

static void answer(struct waiter *served, long result)
{
	pthread_mutex_lock(&collector.lock);
	for (struct waiter *waiter = served; waiter != NULL; waiter = waiter->next) {
		waiter->result = result;
		waiter->is_served = true;
	}
	pthread_cond_broadcast(&collector.done);
	pthread_mutex_unlock(&collector.lock);
}

/* One look for all who wait by now, or one check; it begins after their calls. False if nobody waits. */
static bool serve(struct cgc__context *self)
{
	struct waiter *served = take_waiters(&collector.checkers);
	if (served != NULL) {
		answer(served, (long)cgc__verify_all());
		return true;
	}
	served = take_waiters(&collector.waiters);
	if (served == NULL)
		return false;
	settle_queues(self);
	long freed = collect(self, true);
	settle_queues(self);
	answer(served, freed);
	return true;
}

static void look_if_due(struct cgc__context *self)
{
	/* No order needed: a setting. */
	bool is_enabled = atomic_load_explicit(&cgc__heap.is_enabled, memory_order_relaxed);
	bool is_pressed = cgc__pace_is_pressed();
	if (!is_enabled && cgc__report_died_by_count() > collector.died_before + collector.suspects_kept / 4 +
	                                                         cgc__heap.suspect_batch) {
		collector.died_before = cgc__report_died_by_count();
		collector.suspects_kept = cgc__window_sweep(self);
	}
	if (!is_enabled && is_pressed)
		cgc__pace_renew(cgc__pace_measure(), 0); /* garbage is the program's own business now */
	if (!is_enabled || (cgc__report_now() < collector.not_before && !cgc__heap.eager && !is_pressed))
		return;
	/* No order needed: requests. */
	bool whole = atomic_load_explicit(&collector.whole_due, memory_order_relaxed) ||
	             /* No order needed: a request. */
	             atomic_load_explicit(&cgc__heap.lost_entry, memory_order_relaxed) ||
	             cgc__pace_is_look_due();
	if (whole || suspect_entries() > 0)
		collect(self, whole);
}

static void wait_for_work(void)
{
	bool busy = pending_entries() > 0;
	uint64_t wait = busy ? BUSY_WAIT_NS : IDLE_WAIT_NS;
	if (!busy && suspect_entries() > 0)
		wait = cgc__heap.eager ? BUSY_WAIT_NS : LOOK_NS / 4;
	uint64_t now = cgc__report_now();
	if (now - collector.looked > REST_NS)
		cgc__window_trim(&collector.window);
	if (now - collector.decayed > REST_NS) {
		collector.decayed = now;
		cgc__memory_decay();
	}
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	uint64_t nanoseconds = (uint64_t)until.tv_nsec + wait;
	until.tv_sec += (time_t)(nanoseconds / 1000000000u);
	until.tv_nsec = (long)(nanoseconds % 1000000000u);
	/* No order needed: a hint to those who queue. */
	atomic_store_explicit(&collector.idle, !busy, memory_order_relaxed);
	while (sem_timedwait(&collector.wake, &until) != 0 && errno == EINTR)
		;
	/* No order needed: as above. */
	atomic_store_explicit(&collector.idle, false, memory_order_relaxed);
	/* No order needed: a wake more or less does no harm. */
	atomic_store_explicit(&collector.woken, false, memory_order_relaxed);
}

static void *run(void *unused)
{
	(void)unused;
	is_background = true;
	int error = cgc__thread_attach_background();
	pthread_mutex_lock(&collector.lock);
	collector.attach_error = error;
	collector.answered = true;
	pthread_cond_broadcast(&collector.done);
	pthread_mutex_unlock(&collector.lock);
	if (error != 0)
		return NULL;
	struct cgc__context *self = cgc__self;
	/* STOP.r. Pairs: STOP.w in cgc_stop(). */
	while (!atomic_load_explicit(&collector.stopping, memory_order_acquire)) {
		cgc__pause("collector.round_due");
		if (serve(self))
			continue;
		cgc__pending_see_who_helps();
		round_of_queues(self, false);
		look_if_due(self);
		if (!has_waiters())
			wait_for_work();
	}
	cgc__window_free(&collector.window);
	cgc__thread_detach();
	return NULL;
}

static void set_defaults(void)
{
	cgc_set_threshold((const unsigned[]){10000, 2, 0});
	cgc_enable();
	cgc__heap.debug = cgc__heap.poison = false;
	cgc__heap.pending_batch = 256;
	cgc__heap.suspect_batch = 1024;
	cgc__heap.collect_always = 0;
	cgc__heap.eager = false;
	cgc__heap.chunk_entries = CGC__CHUNK_ENTRIES;
	cgc__heap.yield = 0;
	cgc__heap.limit = 0;
	cgc__memory_fail_at(0);
	cgc__memory_fail_count(1);
	cgc__grace_start();
	cgc__slab_start();
	cgc__memory_start();
}

bool cgc__collector_is_running(void)
{
	return collector.running || collector.starting;
}

int cgc_start(const char *options)
{
	int error;
	cgc__thread_refuse_child("cgc_start");
	if (cgc__self != NULL && (cgc__grace_in_section() || is_background || cgc__self->in_callback > 0))
		cgc__report_misuse("cgc_start", NULL,
		                   "inside a read section or a callback: the library runs already");
	pthread_mutex_lock(&collector.lock);
	while (collector.starting)
		pthread_cond_wait(&collector.done, &collector.lock);
	if (collector.running) {
		pthread_mutex_unlock(&collector.lock);
		return EALREADY;
	}
	set_defaults();
	error = cgc__report_read_options(options);
	if (error == 0)
		error = cgc__report_read_options(getenv("CGC_OPTIONS"));
	if (error == 0 && sem_init(&collector.wake, 0, 0) != 0)
		error = errno;
	if (error == 0) {
		/* No order needed: the thread does not run yet. */
		atomic_store_explicit(&collector.stopping, false, memory_order_relaxed);
		/* No order needed: as above. */
		atomic_store_explicit(&collector.woken, false, memory_order_relaxed);
		cgc__pace_renew(cgc__pace_measure(), 0);
		collector.starting = true;
		collector.answered = false;
		error = pthread_create(&collector.thread, NULL, run, NULL);
		while (error == 0 && !collector.answered)
			pthread_cond_wait(&collector.done, &collector.lock);
		if (error == 0 && collector.attach_error != 0) {
			error = collector.attach_error;
			pthread_join(collector.thread, NULL);
		}
		if (error != 0)
			sem_destroy(&collector.wake);
		collector.starting = false;
		pthread_cond_broadcast(&collector.done);
	}
	collector.running = error == 0;
	pthread_mutex_unlock(&collector.lock);
	return error;
}

static long wait_in(struct waiter **list)
{
	struct waiter waiter = {0};
	pthread_mutex_lock(&collector.lock);
	waiter.next = *list;
	*list = &waiter;
	cgc__collector_wake();
	cgc__pause("collector.waiting");
	while (!waiter.is_served)
		pthread_cond_wait(&collector.done, &collector.lock);
	pthread_mutex_unlock(&collector.lock);
	return waiter.result;
}

/* cgc__verify_all() on the background thread. */
size_t cgc__collector_verify(void)
{
	return (size_t)wait_in(&collector.checkers);
}

long cgc_collect(int generation)
{
	if (generation < 0 || generation > 2)
		return -EINVAL;
	struct cgc__context *self = cgc__thread_self();
	if (is_background)
		return 0;
	if (generation < 2) {
		long collected = cgc__young_collect(self, generation);
		return collected > 0 ? collected : 0;
	}
	if (cgc__grace_in_section())
		cgc__report_misuse(
			"cgc_collect", NULL,
			"generation 2 inside a read section: the collection would wait for the section's end");
	long freed = cgc__young_collect(self, 1);
	return (freed > 0 ? freed : 0) + wait_in(&collector.waiters);
}

size_t cgc_stop(void)
{
	struct cgc_stats stats;
	cgc__thread_refuse_child("cgc_stop");
	if (cgc__grace_in_section() || is_background || (cgc__self != NULL && cgc__self->in_callback > 0))
		cgc__report_misuse("cgc_stop", NULL,
		                   "inside a read section or a callback: it would wait for itself");
	if (!collector.running)
		return 0;
	cgc_collect(2);
	cgc__thread_detach();
	/* STOP.w. Pairs: STOP.r in run(). */
	atomic_store_explicit(&collector.stopping, true, memory_order_release);
	sem_post(&collector.wake);
	pthread_join(collector.thread, NULL);
	sem_destroy(&collector.wake);
	pthread_mutex_lock(&collector.lock);
	collector.running = false;
	pthread_mutex_unlock(&collector.lock);
	cgc_get_stats(&stats);
	if (cgc__heap.debug && stats.objects_live > 0)
		cgc__leaks_print();
	return (size_t)stats.objects_live;
}

static uint64_t read_counter(_Atomic(uint64_t) *counter)
{
	/* No order needed: statistics. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void cgc__collector_stats(struct cgc_stats *stats)
{
	stats->generation[2] = (struct cgc_generation_stats){
		.collections = read_counter(&collector.collections),
		.candidates = read_counter(&collector.candidates),
		.collected = read_counter(&collector.collected),
		.resurrected = read_counter(&collector.resurrected),
		.nanoseconds = read_counter(&collector.nanoseconds),
	};
	stats->windows = read_counter(&collector.windows);
	stats->windows_aborted = read_counter(&collector.aborted);
	cgc__pace_stats(stats);
	stats->grace_periods = read_counter(&cgc__grace_done) - 8;
}
