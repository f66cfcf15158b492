/* SPDX-License-Identifier: MIT
 *
 * Operations on weak references.
 */
#include "world.h"

/* NULL if there is none, or its callback has freed it. */
static struct watch *watch_of(struct worker *worker, unsigned number)
{
	return worker->weak[number % WEAKS];
}

void watch_free(struct worker *worker, unsigned number)
{
	struct watch *watch = watch_of(worker, number);
	worker->weak[number % WEAKS] = NULL;
	if (watch == NULL)
		return;
	/* Before the call: a callback that has started elsewhere is none too many. */
	atomic_store_explicit(&watch->freed, true, memory_order_relaxed);
	cgc_weak_free(watch->weak);
}

void watch_make(struct worker *worker, const struct op *op)
{
	struct hand *hand = hand_of(worker, op->a);
	if (hand == NULL)
		return;
	struct watch *watch = watch_new(worker, hand->item, hand->id, op->c % 4);
	if (watch == NULL || op->c % 4 >= 2)
		return;
	watch_free(worker, op->b);
	worker->weak[op->b % WEAKS] = watch;
}

void watch_load(struct worker *worker, const struct op *op)
{
	struct watch *watch = watch_of(worker, op->a);
	if (watch == NULL)
		return;
	struct item *item = cgc_weak_load(watch->weak);
	if (item == NULL) {
		/* No order needed: under the lock. */
		if (world.exact && !watch->cleared && watch->target != 0 &&
		    atomic_load_explicit(&world.record[watch->target].taints, memory_order_relaxed) ==
		            watch->taints &&
		    model_reaches(watch->target, BY_BORROWERS))
			VIOLATED("weak reference %" PRIu64 " answers NULL, but %u can be reached",
			         watch->number, watch->target);
		watch->cleared = true;
		return;
	}
	if (watch->cleared)
		VIOLATED("weak reference %" PRIu64 " to %u answered NULL, now %p", watch->number, watch->target,
		         (void *)item);
	if (item_identify(item, "weak_load") != watch->target)
		VIOLATED("weak reference %" PRIu64 " answers %u, expected %u", watch->number, item->id,
		         watch->target);
	hand_put(worker, op->b % HANDS, item, watch->target);
}
