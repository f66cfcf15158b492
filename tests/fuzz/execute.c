/* SPDX-License-Identifier: MIT
 *
 * One operation of a program. Exact runs hold world.lock around it. What an operation takes away goes from the
 * driver's records before the library hears of it, what it adds is held by something else until it is in both; so
 * a finalizer that runs in between finds the records right.
 */
#include "heap.h" /* of the library: cgc__memory_fail_at(), the switch behind the option `fail` */
#include "world.h"

#include <errno.h>

static void release_hand(struct worker *worker, unsigned number)
{
	struct hand old = worker->hand[number];
	worker->hand[number] = (struct hand){0};
	if (old.item != NULL) {
		if (item_identify(old.item, "hand") != old.id)
			VIOLATED("hand %u holds %u, expected %u", number, item_identify(old.item, "hand"),
			         old.id);
		cgc_release(old.item);
	}
}

/* Owned; immediates and NULL leave the hand empty. */
void hand_put(struct worker *worker, unsigned number, struct item *item, uint32_t id)
{
	struct hand old = worker->hand[number];
	worker->hand[number] = (struct hand){item, id};
	if (old.item != NULL) {
		if (item_identify(old.item, "hand") != old.id)
			VIOLATED("hand %u does not hold %u any more", number, old.id);
		cgc_release(old.item);
	}
}

static void hand_put_value(struct worker *worker, unsigned number, struct item *value, const char *where)
{
	int64_t code = code_of(value, where);
	hand_put(worker, number, code > 0 ? value : NULL, code > 0 ? (uint32_t)code : 0);
}

void worker_drop_hands(struct worker *worker)
{
	for (unsigned i = 0; i < HANDS; i++) {
		world_enter();
		release_hand(worker, i);
		world_leave();
	}
}

void section_leave_all(struct worker *worker)
{
	world_enter();
	for (unsigned i = 0; i < BORROWED; i++) {
		if (worker->borrowed[i].item != NULL &&
		    item_identify(worker->borrowed[i].item, "end of a section") != worker->borrowed[i].id)
			VIOLATED("borrowed object is not %u any more", worker->borrowed[i].id);
		worker->borrowed[i] = (struct hand){0};
	}
	for (; worker->depth > 0; worker->depth--)
		cgc_read_unlock();
	world_leave();
}

struct hand *hand_of(struct worker *worker, unsigned number)
{
	struct hand *hand = &worker->hand[number % HANDS];
	if (hand->item == NULL)
		return NULL;
	if (item_identify(hand->item, "hand") != hand->id)
		VIOLATED("hand %u does not hold %u any more", number % HANDS, hand->id);
	return hand;
}

/* The slot or root that a and c name; false if there is none. */
static bool find_place(struct worker *worker, uint8_t a, uint8_t c, struct place *place)
{
	if ((a & 0x80) != 0) {
		*place = place_of_root(c % ROOTS);
		return true;
	}
	struct hand *hand;
	if ((a & 0x70) == 0x40) {
		hand = &worker->borrowed[a % BORROWED];
		if (hand->item == NULL)
			return false;
		if (item_identify(hand->item, "borrowed") != hand->id)
			VIOLATED("borrowed object is not %u any more", hand->id);
	} else {
		hand = hand_of(worker, a);
	}
	if (hand == NULL || world.record[hand->id].slots == 0)
		return false;
	*place = place_of_slot(hand->item, hand->id, c);
	return true;
}

/* An acyclic container takes leaves only, which makes it acyclic indeed. */
static bool may_hold(const struct place *place, int64_t code)
{
	if (place->id == 0 || code <= 0 || !kind_is_acyclic(world.record[place->id].kind))
		return true;
	unsigned kind = world.record[code].kind;
	return kind == LEAF || kind == LEAF_SEEN || kind == FINAL_LEAF;
}

/* The value that b and d name: borrowed. */
static struct item *find_value(struct worker *worker, const struct place *place, uint8_t b, uint8_t d,
                               int64_t *code)
{
	*code = 0;
	if (d % 8 == 1)
		*code = -(int64_t)(b * 2 + 1);
	struct hand *hand = d % 8 > 1 ? hand_of(worker, b) : NULL;
	if (hand != NULL && may_hold(place, hand->id))
		*code = hand->id;
	return value_of(*code);
}

static void store(struct worker *worker, const struct op *op)
{
	struct place place;
	int64_t code = 0;
	struct item *value = NULL;
	if (!find_place(worker, op->a, op->c, &place))
		return;
	if (op->code == STORE)
		value = find_value(worker, &place, op->b, op->d, &code);
	place_note(worker, &place, code);
	cgc_store(place.container, place.field, value);
}

/* Takes the hand's reference; the container may be held by that hand alone, so another one is added for the time of
 * the call. */
static void consume(struct worker *worker, const struct op *op)
{
	struct place place;
	if (!find_place(worker, op->a, op->c, &place))
		return;
	struct hand hand = {0}, *from = hand_of(worker, op->b);
	if (from != NULL && may_hold(&place, from->id))
		hand = *from;
	bool is_self = hand.item != NULL && hand.item == place.container;
	if (is_self) {
		REQUIRE(worker->temporaries < TEMPORARIES);
		worker->temporary[worker->temporaries++] = hand;
		cgc_retain(hand.item);
	}
	if (hand.item != NULL)
		*from = (struct hand){0};
	if (op->code == CONSUME) {
		place_note(worker, &place, hand.id);
		cgc_store_consume(place.container, place.field, hand.item);
	} else {
		int64_t expected;
		bool is_known = place_expects(worker, &place, &expected);
		place_note(worker, &place, hand.id);
		struct item *old = cgc_exchange(place.container, place.field, hand.item);
		if (is_known && old != value_of(expected))
			VIOLATED("exchange: slot %u of %u held %p, expected %p (%" PRId64 ")", place.slot,
			         place.id, (void *)old, (void *)value_of(expected), expected);
		hand_put_value(worker, op->b % HANDS, old, "exchange");
	}
	if (is_self) {
		worker->temporaries--;
		cgc_release(hand.item);
	}
}

static void compare(struct worker *worker, const struct op *op)
{
	struct place place;
	int64_t code, expected_code;
	if (!find_place(worker, op->a, op->c, &place))
		return;
	struct item *expected = cgc_load(place.container, place.field), *other = NULL;
	place_compare(worker, &place, expected, "load");
	expected_code = code_of(expected, "load");
	if (expected_code > 0) {
		REQUIRE(worker->temporaries < TEMPORARIES);
		worker->temporary[worker->temporaries++] = (struct hand){expected, (uint32_t)expected_code};
	}
	struct item *value = find_value(worker, &place, op->b, op->d, &code);
	bool is_wrong = op->d >= 0xc0;
	if (is_wrong)
		other = expected == NULL ? (struct item *)(uintptr_t)3 : NULL;
	/* Before the call, as with the other stores; alone nothing can come in between. */
	if (world.exact && !is_wrong)
		place_note(worker, &place, code);
	bool stored = cgc_compare_exchange(place.container, place.field, is_wrong ? other : expected, value);
	if (!world.exact && stored)
		place_note(worker, &place, code);
	int64_t known;
	if (stored == is_wrong && (world.exact || place_expects(worker, &place, &known)))
		VIOLATED("compare_exchange of slot %u of %u: %s", place.slot, place.id,
		         stored ? "stored" : "refused");
	if (expected_code > 0) {
		worker->temporaries--;
		cgc_release(expected);
	}
}

static void load(struct worker *worker, const struct op *op)
{
	struct place place;
	if (!find_place(worker, op->a, op->c, &place))
		return;
	struct item *found = cgc_load(place.container, place.field);
	place_compare(worker, &place, found, "load");
	hand_put_value(worker, op->b % HANDS, found, "load");
}

/* Only published objects are kept by a section. */
static void borrow(struct worker *worker, const struct op *op)
{
	struct place place;
	if (worker->depth == 0 || !find_place(worker, op->a, op->c, &place))
		return;
	struct item *found = cgc_borrow(place.field);
	place_compare(worker, &place, found, "borrow");
	int64_t code = code_of(found, "borrow");
	if (code <= 0 || cgc_generation(found) != 2)
		return;
	worker->borrowed[op->b % BORROWED] = (struct hand){found, (uint32_t)code};
}

static void keep(struct worker *worker, const struct op *op)
{
	struct hand borrowed = worker->borrowed[op->a % BORROWED];
	if (borrowed.item == NULL)
		return;
	cgc_retain(borrowed.item);
	if (item_identify(borrowed.item, "borrowed") != borrowed.id)
		VIOLATED("borrowed object is not %u any more", borrowed.id);
	hand_put(worker, op->b % HANDS, borrowed.item, borrowed.id);
}

static void send_hand(struct worker *worker, const struct op *op)
{
	struct hand *hand = hand_of(worker, op->a);
	struct item *item = NULL;
	if (hand != NULL) {
		item = hand->item;
		if (op->c % 2 == 0)
			cgc_transfer(item);
		else
			cgc_publish(item);
		if (cgc_generation(item) != 2)
			VIOLATED("publish: generation is %d", cgc_generation(item));
		*hand = (struct hand){0};
	}
	/* Pairs: itself, in another thread. */
	item = atomic_exchange_explicit(&world.mailbox[op->b % MAILBOXES], item, memory_order_acq_rel);
	hand_put_value(worker, op->a % HANDS, item, "mailbox");
}

static void immortalize(struct worker *worker, const struct op *op)
{
	struct hand *hand = hand_of(worker, op->a);
	if (hand == NULL || op->d >= 8 || worker->immortals.count >= 2)
		return;
	struct hand old = *hand;
	/* No order needed: one thread is the first. */
	if (atomic_exchange_explicit(&world.record[old.id].immortal, true, memory_order_relaxed))
		return;
	*(struct hand *)list_add(&worker->immortals, sizeof(old)) = old;
	*hand = (struct hand){0};
	cgc_immortalize(old.item);
}

static void count_reference(void *referent, void *argument)
{
	(void)referent;
	++*(uint32_t *)argument;
}

static void check(struct worker *worker, const struct op *op)
{
	struct hand *hand = hand_of(worker, op->a);
	if (hand == NULL)
		return;
	struct record *record = &world.record[hand->id];
	uint32_t references = 0, expected = 0;
	if (cgc_type_of(hand->item) != &types[record->kind])
		VIOLATED("%u is of another type", hand->id);
	/* No order needed: held. */
	if (world.exact && cgc_is_finalized(hand->item) !=
	                           (atomic_load_explicit(&record->finalized, memory_order_relaxed) > 0))
		VIOLATED("%u: cgc_is_finalized() is wrong", hand->id);
	cgc_visit_references(hand->item, count_reference, &references);
	for (uint32_t i = 0; world.exact && i < record->slots; i++)
		expected += record->value[i] > 0;
	if (world.exact && references != expected)
		VIOLATED("%u refers to %u objects, expected %u", hand->id, references, expected);
}

static void set(const struct op *op)
{
	switch (op->d % 4) {
	case 0:
		cgc_set_threshold((const unsigned[]){op->b % 40, op->c % 4, op->a % 4});
		break;
	case 1:
		cgc_enable();
		break;
	case 2:
		cgc_disable();
		break;
	default:
		cgc__memory_fail_at(1 + op->b % 16);
		break;
	}
}

/* Detached or in a section, the library refuses some calls. */
static void run_outside(struct worker *worker, const struct op *op)
{
	switch (op->code) {
	case COLLECT:
		if (op->d < 32)
			cgc_collect(2);
		break;
	case PARK:
		cgc_park();
		cgc_unpark();
		break;
	default:
		cgc_thread_detach();
		worker->detached = true;
		break;
	}
}

static bool any_section(void)
{
	bool any = false;
	for (unsigned i = 0; world.exact && i < world.worker_count; i++)
		any |= world.worker[i].depth > 0;
	return any;
}

/* Until nothing of the worker's own dies by it. */
void worker_collect(struct worker *worker)
{
	uint64_t before;
	unsigned rounds = 0;
	if (worker->detached)
		return;
	do {
		before = worker->own_events;
		if (++rounds > 1000)
			VIOLATED("1000 collections of generation 1 in turn found garbage");
	} while (cgc_collect(1) > 0 || worker->own_events != before);
}

/* The failure that a program has asked for may be this one; it comes once. */
void worker_attach(struct worker *worker)
{
	if (!worker->detached)
		return;
	int error = cgc_thread_attach();
	REQUIRE(error == 0 || (error == ENOMEM && cgc_thread_attach() == 0));
	worker->detached = false;
}

void execute(struct worker *worker, const struct op *op)
{
	worker->operations++;
	worker_attach(worker);
	if (op->code == COLLECT || op->code == PARK || op->code == DETACH) {
		/* Not with the lock: it waits for the background thread, whose finalizers take it. A section of another
		 * thread, which does not run now, would never end. */
		if (worker->depth == 0 && (op->code != COLLECT || !any_section()))
			run_outside(worker, op);
		return;
	}
	world_enter();
	struct hand *hand = hand_of(worker, op->a);
	switch (op->code) {
	case NEW:
		compose_one(worker, op);
		break;
	case RING:
		compose_ring(worker, op);
		break;
	case STORM:
		compose_storm(worker, op);
		break;
	case CLOSE:
		compose_close(worker, op);
		break;
	case CAROUSEL:
		compose_carousel(worker, op);
		break;
	case RETAIN:
		if (hand != NULL)
			hand_put(worker, op->b % HANDS, cgc_retain(hand->item), hand->id);
		break;
	case RELEASE:
		release_hand(worker, op->a % HANDS);
		break;
	case STORE:
	case CLEAR:
		store(worker, op);
		break;
	case CONSUME:
	case EXCHANGE:
		consume(worker, op);
		break;
	case COMPARE:
		compare(worker, op);
		break;
	case LOAD:
		load(worker, op);
		break;
	case ENTER:
		if (worker->depth < 4) {
			cgc_read_lock();
			worker->depth++;
		}
		break;
	case LEAVE:
		if (worker->depth == 1)
			section_leave_all(worker);
		else if (worker->depth > 1 && worker->depth-- > 0)
			cgc_read_unlock();
		break;
	case BORROW:
		borrow(worker, op);
		break;
	case KEEP:
		keep(worker, op);
		break;
	case PUBLISH:
		if (hand != NULL)
			cgc_publish(hand->item);
		break;
	case SEND:
		send_hand(worker, op);
		break;
	case IMMORTALIZE:
		immortalize(worker, op);
		break;
	case WEAK_NEW:
		watch_make(worker, op);
		break;
	case WEAK_LOAD:
		watch_load(worker, op);
		break;
	case WEAK_FREE:
		watch_free(worker, op->a);
		break;
	case CHECK:
		check(worker, op);
		break;
	case YOUNG:
		cgc_collect(op->a % 2);
		break;
	case SETTING:
		set(op);
		break;
	case DROP:
		for (unsigned i = 0; i < HANDS; i++)
			release_hand(worker, i);
		break;
	default:
		break;
	}
	world_leave();
}
