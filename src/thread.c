/* SPDX-License-Identifier: MIT
 *
 * Threads: attached on first use, detached at their end. A context outlives its thread and is adopted by the
 * next one that attaches, with all it owns and the bias of its objects; so an id never gets a second writer.
 * Model: tests/model/adopt.pml.
 */
#include <errno.h>
#include <string.h>

#include "count.h"
#include "pause.h"

struct cgc__heap cgc__heap;
_Thread_local struct cgc__context *cgc__self, *cgc__alloc_self;
_Thread_local uint32_t cgc__private_bias = UINT32_MAX; /* of no object: ids end below */
static _Thread_local bool was_detached;                /* by cgc_thread_detach(): debug mode minds */

static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_error;
static bool was_forked; /* written in the child of a fork only, where there is one thread */

static void detach(struct cgc__context *self);

static void at_thread_exit(void *context)
{
	struct cgc__context *self = context;
	if (cgc__self != self)
		return;
	if (self->in_callback > 0 || self->collecting || self->draining)
		cgc__report_misuse(
			"pthread_exit", NULL,
			"called from a finalizer or callback: what the library was about to free is lost");
	detach(self);
}

/* In the child there is neither a background thread nor, for liburcu, an end of the sections of the threads that are
 * gone: nothing that waits for a grace period would ever die, and a lock may be held by nobody. So every use is
 * refused; without a context none goes past the entrance. */
static void after_fork(void)
{
	if (!cgc__collector_is_running())
		return;
	was_forked = true;
	cgc__self = cgc__alloc_self = NULL;
	cgc__private_bias = UINT32_MAX;
}

void cgc__thread_refuse_child(const char *function)
{
	if (__builtin_expect(was_forked, 0))
		cgc__report_misuse(
			function, NULL,
			"used in a forked child: the background thread does not exist here: exec, or fork "
			"before the first use");
}

static void begin_once(void)
{
	once_error = pthread_key_create(&exit_key, at_thread_exit);
	if (once_error == 0)
		once_error = pthread_atfork(NULL, NULL, after_fork);
}

/* heap.threads is locked. */
static struct cgc__context *new_context(void)
{
	struct cgc__context *context = cgc__memory_get(sizeof(*context), 64);
	if (context == NULL)
		return NULL;
	memset(context, 0, sizeof(*context));
	context->id = ++cgc__heap.context_count;
	context->private_bias = CGC__BIAS(context->id, CGC__PRIVATE);
	context->biased_bias = CGC__BIAS(context->id, CGC__BIASED);
	pthread_mutex_init(&context->slabs_lock, NULL);
	/* No order needed: only written under the lock. */
	context->next = atomic_load_explicit(&cgc__heap.contexts, memory_order_relaxed);
	/* CONTEXT.w: the context before its address. Pairs: CONTEXT.r in slab.c, collector.c and window.c. */
	atomic_store_explicit(&cgc__heap.contexts, context, memory_order_release);
	return context;
}

static int attach(bool is_background)
{
	if (cgc__self != NULL)
		return 0;
	cgc__thread_refuse_child("cgc_thread_attach");
	int error = is_background ? 0 : cgc_start(NULL);
	if (error != 0 && error != EALREADY)
		return error;
	pthread_once(&once, begin_once);
	if (once_error != 0)
		return once_error;
	pthread_mutex_lock(&cgc__heap.threads);
	struct cgc__context *context = cgc__heap.pool;
	if (context != NULL)
		cgc__heap.pool = context->pool_next;
	else
		context = new_context();
	pthread_mutex_unlock(&cgc__heap.threads);
	if (context == NULL)
		return ENOMEM;
	error = pthread_setspecific(exit_key, context);
	if (error != 0) {
		pthread_mutex_lock(&cgc__heap.threads);
		context->pool_next = cgc__heap.pool;
		cgc__heap.pool = context;
		pthread_mutex_unlock(&cgc__heap.threads);
		return error;
	}
	cgc__pause("thread.adopted");
	urcu_memb_register_thread();
	cgc__self = context;
	cgc__private_bias = cgc__heap.debug ? UINT32_MAX : context->private_bias;
	was_detached = false;
	/* No order needed: a statistic. */
	atomic_store_explicit(&context->is_attached, !is_background, memory_order_relaxed);
	return 0;
}

/* NULL if there is no memory for it; what else may fail is the end. */
struct cgc__context *cgc__thread_try_attach(void)
{
	if (was_detached && cgc__heap.debug)
		cgc__report_misuse(
			"cgc_thread_detach", NULL,
			"unattached access: the thread has detached and uses objects: attach it again first");
	int error = attach(false);
	if (error != 0 && error != ENOMEM)
		cgc__report_fatal("cgc_thread_attach", "a thread that uses objects cannot be attached", error);
	return cgc__self;
}

struct cgc__context *cgc__thread_attach_slow(void)
{
	for (;;) {
		struct cgc__context *self = cgc__thread_try_attach();
		if (self != NULL)
			return self;
		if (!cgc__report_out_of_memory(sizeof(struct cgc__context)))
			cgc__report_fatal("cgc_thread_attach", "a thread that uses objects cannot be attached",
			                  ENOMEM);
	}
}

int cgc_thread_attach(void)
{
	return attach(false);
}

int cgc__thread_attach_background(void)
{
	return attach(true);
}

/* What is still private is published: whoever was given it by other means than the library finds it usable. */
static void publish_leftovers(struct cgc__context *self)
{
	size_t position = SIZE_MAX;
	struct cgc__slab *slab = NULL;
	while ((slab = cgc__slab_walk(self, &position, slab)) != NULL) {
		cgc__pause("thread.slab_found");
		for (uint32_t cell = 0; cell < slab->bumped; cell++) {
			struct cgc__header *header = cgc__slab_header(slab, cell);
			/* GENERATION.r: with 0, a cell that others have freed reads as free. Pairs: GENERATION.w. */
			if (atomic_load_explicit(&slab->generation[cell], memory_order_acquire) != 2 &&
			    cgc__count_bias(header) == self->private_bias)
				cgc__publish_graph(self, cgc__object_of(header), 0, 0);
		}
	}
}

static void detach(struct cgc__context *self)
{
	cgc__reclaim_drain(self);
	long collected = cgc__young_collect(self, 1);
	publish_leftovers(self);
	if (collected < 0)
		/* Garbage has been published without suspects. No order needed: a request. */
		atomic_store_explicit(&cgc__heap.lost_entry, true, memory_order_relaxed);
	cgc__slab_leave(self);
	cgc__pause("thread.published");
	/* No order needed: a statistic. */
	atomic_store_explicit(&self->is_attached, false, memory_order_relaxed);
	cgc__self = cgc__alloc_self = NULL;
	cgc__private_bias = UINT32_MAX;
	urcu_memb_unregister_thread();
	/* The lock orders all this before the next thread that adopts the context. */
	pthread_mutex_lock(&cgc__heap.threads);
	self->pool_next = cgc__heap.pool;
	cgc__heap.pool = self;
	pthread_mutex_unlock(&cgc__heap.threads);
	cgc__pause("thread.pooled");
	cgc__collector_wake();
}

static void refuse_section(const char *function)
{
	if (cgc__grace_in_section())
		cgc__report_misuse(function, NULL, "called inside a read section: the section would never end");
}

void cgc_thread_detach(void)
{
	struct cgc__context *self = cgc__self;
	if (self == NULL)
		return;
	refuse_section("cgc_thread_detach");
	if (self->in_callback > 0 || self->draining)
		cgc__report_misuse("cgc_thread_detach", NULL,
		                   "called from a finalizer or callback: the caller is still at work");
	cgc__thread_detach();
	was_detached = true;
}

/* The library's own: using objects afterwards attaches again, in debug mode too. */
void cgc__thread_detach(void)
{
	struct cgc__context *self = cgc__self;
	pthread_setspecific(exit_key, NULL);
	detach(self);
}

void cgc_park(void)
{
	struct cgc__context *self = cgc__thread_self();
	refuse_section("cgc_park");
	if (!self->collecting && !self->draining)
		cgc__young_collect(self, 1);
	cgc__remote_send(self);
	cgc__collector_wake();
}

void cgc_unpark(void)
{
	cgc__thread_self();
}
