/* SPDX-License-Identifier: MIT
 *
 * What must stay true: whatever a thread made lives on without it, and is given back without it, in whatever
 * state it was when it blocked or ended.
 *
 * THREADS runners each start one short-lived thread after the other. A short-lived thread makes objects, hands
 * them over (through roots, by transfer, raw after publishing), leaves garbage of all kinds, and ends in one of
 * many states. In some turns it blocks without a word to the library while its runner drops what it got and
 * waits for its death.
 */
#include <semaphore.h>

#include "item.h"

#define ROOTS 32u
#define MAILBOXES 32u
#define TURNS_PER_ROUND 200u

typedef cgc_ref(struct item) item_ref;

static item_ref roots[ROOTS];
/* Pointers to published items; each holds one reference. */
static _Atomic(struct item *) mailbox[MAILBOXES];
static pthread_key_t late_key;
static atomic_ullong turns;

/* What a short-lived thread has to do, and a place to meet its runner. */
struct task {
	struct worker worker;
	unsigned turn;
	struct item *given; /* written before `ready` is posted */
	uint64_t number;
	struct cgc_weak *weak;
	sem_t ready, done;
};

/* Runs when the thread ends, before or after the library's own destructor: both must work. */
static void late_release(void *argument)
{
	struct item *item = argument;
	if (item->checksum != mix(item->number ^ ITEM_SALT))
		VIOLATED("item %p damaged when its thread ended", argument);
	cgc_release(item);
}

static struct item *swap_mail(struct worker *worker, struct item *item)
{
	/* MAIL.w and MAIL.r: the item before its pointer. Pairs: itself, in another thread. */
	item = atomic_exchange_explicit(&mailbox[below(worker, MAILBOXES)], item, memory_order_acq_rel);
	if (item != NULL)
		CHECK_ITEM(worker, item);
	return item;
}

static struct item *any_graph(struct worker *worker)
{
	switch (below(worker, 3)) {
	case 0:
		return item_new(worker);
	case 1:
		return item_new_ring(worker, 1 + below(worker, 20));
	default:
		return item_new_tree(worker, 1 + below(worker, 5));
	}
}

/* Makes, reads and drops; what is still in `roots` afterwards has lost its maker. */
static void live_a_little(struct worker *worker)
{
	for (unsigned steps = below(worker, 30); steps > 0; steps--) {
		item_ref *root = &roots[below(worker, ROOTS)];
		struct item *item;
		worker->operations++;
		switch (below(worker, 8)) {
		case 0: /* private garbage, also in rings */
			cgc_release(any_graph(worker));
			break;
		case 1: /* published garbage, also in rings */
			item = any_graph(worker);
			cgc_publish(item);
			cgc_release(item);
			break;
		case 2:
			cgc_store_consume(CGC_ROOT, root, any_graph(worker));
			break;
		case 3: /* someone else's, and a change in it */
			item = cgc_load(CGC_ROOT, root);
			if (item != NULL) {
				CHECK_ITEM(worker, item);
				cgc_store_consume(item, &item->slot[3], any_graph(worker));
			}
			cgc_release(item);
			break;
		case 4:
			item = any_graph(worker);
			cgc_transfer(item);
			cgc_release(swap_mail(worker, item));
			break;
		case 5:
			item = any_graph(worker);
			cgc_publish(item);
			cgc_release(swap_mail(worker, item));
			break;
		case 6:
			cgc_store(CGC_ROOT, root, NULL);
			break;
		default:
			cgc_read_lock();
			for (item = cgc_borrow(root); item != NULL && !one_in(worker, 8);
			     item = cgc_borrow(&item->slot[below(worker, ITEM_SLOTS)]))
				CHECK_ITEM(worker, item);
			cgc_read_unlock();
			break;
		}
	}
}

/* The owner hands over and blocks; the runner must be able to bury what it made. */
static void block_until_done(struct task *task)
{
	struct worker *worker = &task->worker;
	struct item *item = item_new_ring(worker, 1 + below(worker, 5));
	task->number = item->number;
	task->weak = cgc_weak_new(item, NULL, NULL);
	if (task->weak == NULL)
		VIOLATED("cgc_weak_new: NULL, expected a weak reference");
	if (one_in(worker, 2))
		cgc_transfer(item);
	else
		cgc_publish(item);
	task->given = item;
	if (one_in(worker, 4))
		cgc_park();
	sem_post(&task->ready);
	while (sem_wait(&task->done) != 0)
		continue;
}

static void end_somehow(struct worker *worker)
{
	switch (below(worker, 8)) {
	case 0:
		cgc_park();
		break;
	case 1:
		cgc_thread_detach();
		break;
	case 2:
		cgc_thread_detach();
		cgc_thread_attach();
		cgc_release(any_graph(worker));
		break;
	case 3: /* an object that only the end of the thread releases */
		pthread_setspecific(late_key, any_graph(worker));
		break;
	case 4:
		pthread_exit(NULL);
	case 5:
		cgc_collect((int)below(worker, 3));
		break;
	default:
		break;
	}
}

static void *short_life(void *argument)
{
	struct task *task = argument;
	/* Some never touch the library, or only attach. */
	switch (below(&task->worker, 16)) {
	case 0:
		sem_post(&task->ready);
		return NULL;
	case 1:
		cgc_thread_attach();
		sem_post(&task->ready);
		return NULL;
	default:
		break;
	}
	live_a_little(&task->worker);
	if (one_in(&task->worker, 4))
		block_until_done(task);
	else
		sem_post(&task->ready);
	end_somehow(&task->worker);
	return NULL;
}

/* The runner's half of block_until_done(). */
static void bury(struct worker *worker, struct task *task)
{
	CHECK_NUMBER(worker, task->given, task->number);
	cgc_release(task->given);
	/* The owner is blocked; the object must die all the same. A window may be given up, so not always in the
	 * first collection. */
	struct item *left;
	for (unsigned collections = 0; cgc_collect(2), (left = cgc_weak_load(task->weak)) != NULL;
	     collections++) {
		cgc_release(left);
		if (collections == 100)
			VIOLATED("item %#" PRIx64 " of a blocked owner lives on without a reference",
			         task->number);
	}
	cgc_weak_free(task->weak);
	sem_post(&task->done);
}

static void run(struct worker *worker)
{
	struct task task = {.given = NULL};
	sem_init(&task.ready, 0, 0);
	sem_init(&task.done, 0, 0);
	for (unsigned turn = 0; turn < TURNS_PER_ROUND && stress_goes_on(worker); turn++) {
		pthread_t thread;
		task.worker = (struct worker){.random = next_random(worker)};
		task.given = NULL;
		stress_create(&thread, short_life, &task);
		while (sem_wait(&task.ready) != 0)
			continue;
		if (task.given != NULL)
			bury(worker, &task);
		/* Works beside it until it ends. */
		live_a_little(worker);
		pthread_join(thread, NULL);
		worker->operations += task.worker.operations;
		worker->checked += task.worker.checked;
		/* No order needed: statistics. */
		atomic_fetch_add_explicit(&turns, 1, memory_order_relaxed);
	}
	sem_destroy(&task.ready);
	sem_destroy(&task.done);
}

static void empty_all(void)
{
	for (unsigned i = 0; i < ROOTS; i++)
		cgc_store(CGC_ROOT, &roots[i], NULL);
	for (unsigned i = 0; i < MAILBOXES; i++) {
		/* No order needed: the threads that wrote it are joined. */
		cgc_release(atomic_exchange_explicit(&mailbox[i], NULL, memory_order_relaxed));
	}
}

int main(void)
{
	stress_begin("stress_thread_churn");
	int error = pthread_key_create(&late_key, late_release);
	if (error != 0) {
		fprintf(stderr, "stress_thread_churn: pthread_key_create: %s\n", strerror(error));
		return 1;
	}
	struct cgc_stats stats;
	cgc_get_stats(&stats);
	uint64_t threads_before = stats.threads;
	struct worker sum = {0};
	for (uint64_t round = 0; stress_now() < stress.deadline; round++) {
		struct worker part = stress_run(run, round);
		sum.operations += part.operations;
		sum.checked += part.checked;
		empty_all();
		stress_expect_live(0, "after a round of threads");
		cgc_get_stats(&stats);
		/* The main thread itself may have attached meanwhile. */
		if (stats.threads > threads_before + 1)
			VIOLATED("%" PRIu64 " threads attached, %" PRIu64 " before", stats.threads,
			         threads_before);
	}
	/* No order needed: all threads are joined. */
	unsigned long long ended = atomic_load_explicit(&turns, memory_order_relaxed);
	printf("stress_thread_churn: %llu threads ended\n", ended);
	return stress_end(&sum);
}
