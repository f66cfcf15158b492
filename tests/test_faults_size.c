/* SPDX-License-Identifier: MIT
 *
 * Sizes at the limits: very many references to one object and in one object, objects that refer to themselves,
 * all types there can be. Too many is immortal or refused with a message, never freed early.
 */
#include <semaphore.h>

#include "child.h"
#include "pause.h"

static node_ref root;
static cgc_ref(struct array) array_root;

/* So many references can be counted in shared; one more makes an object immortal (docs/design.md, Limits). */
#define LIMIT ((size_t)CGC__SHARED_LIMIT)

enum { MANY = IS_SANITIZED ? 200000 : 1000000 };

/* ---------------------------------------------------------------------------------------------
 * One object with very many references
 * ------------------------------------------------------------------------------------------- */

enum place { PRIVATELY, PUBLISHED_LATER, PUBLISHED_BEFORE };

static struct array *make_large_array(enum place place, size_t length)
{
	struct array *array = cgc_new_n(&array_type, length);
	array->length = length;
	if (place == PUBLISHED_BEFORE)
		cgc_publish(array);
	return array;
}

static void a_million_references_are_counted_and_given_back(UNUSED void **state)
{
	for (enum place place = PRIVATELY; place <= PUBLISHED_BEFORE; place++) {
		struct array *array = make_large_array(place, MANY);
		count_clear(&destroyed);
		for (int i = 0; i < MANY; i++)
			cgc_store_consume(array, &array->items[i], make(i));
		if (place == PUBLISHED_LATER)
			cgc_publish(array);
		assert_int_equal(live(), MANY + 1);
		assert_int_equal(cgc_collect(2), 0);
		assert_int_equal(count_of(&destroyed), 0);
		for (int i = 0; i < MANY; i += 2)
			cgc_store(array, &array->items[i], NULL);
		cgc_collect(2);
		assert_int_equal(count_of(&destroyed), MANY / 2);
		cgc_release(array);
		settle();
		assert_int_equal(count_of(&destroyed), MANY);
		assert_int_equal(live(), 0);
	}
}

/* Every slot of the array refers to one node, and that node back to the array. */
static void a_ring_through_a_million_references_is_garbage_as_a_whole(UNUSED void **state)
{
	for (enum place place = PRIVATELY; place <= PUBLISHED_BEFORE; place++) {
		struct array *array = make_large_array(place, MANY);
		struct node *node = make_of(&node_type, 1);
		node_ref *back = &node->slot[0];
		cgc_store(node, back, (struct node *)(void *)array);
		for (int i = 0; i < MANY; i++)
			cgc_store(array, &array->items[i], node);
		if (place == PUBLISHED_LATER)
			cgc_publish(array);
		assert_int_equal(cgc_reference_count(node), MANY + 1);
		cgc_release(node);
		assert_int_equal(cgc_collect(2), 0);
		assert_int_equal(cgc_reference_count(array), 2);
		cgc_release(array);
		assert_int_equal(cgc_collect(2), 2);
		assert_int_equal(live(), 0);
	}
}

static void an_object_that_refers_to_itself_is_garbage_as_any_ring(UNUSED void **state)
{
	for (enum place place = PRIVATELY; place <= PUBLISHED_BEFORE; place++) {
		struct node *node = make(1);
		struct array *array = make_large_array(place, 1000);
		if (place == PUBLISHED_BEFORE)
			cgc_publish(node);
		for (int i = 0; i < NODE_SLOTS; i++)
			cgc_store(node, &node->slot[i], node);
		for (int i = 0; i < 1000; i++)
			cgc_store(array, &array->items[i], (struct node *)(void *)array);
		if (place == PUBLISHED_LATER) {
			cgc_publish(node);
			cgc_publish(array);
		}
		assert_int_equal(cgc_reference_count(node), NODE_SLOTS + 1);
		assert_int_equal(cgc_reference_count(array), 1001);
		assert_int_equal(cgc_collect(2), 0);
		/* A slot less, and it is a ring still. */
		cgc_store(node, &node->slot[1], NULL);
		cgc_store(array, &array->items[500], NULL);
		assert_int_equal(cgc_collect(2), 0);
		cgc_release(node);
		cgc_release(array);
		assert_int_equal(cgc_collect(2), 2);
		assert_int_equal(live(), 0);
	}
}

/* ---------------------------------------------------------------------------------------------
 * Very many references to one object
 * ------------------------------------------------------------------------------------------- */

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		continue;
}

struct many {
	struct node *node;
	struct cgc_weak *weak;
	struct array *array;
	size_t count;
};

static void *retain_many(void *argument)
{
	struct many *many = argument;
	for (size_t i = 0; i < many->count; i++)
		cgc_retain(many->node);
	return NULL;
}

static void *release_many(void *argument)
{
	struct many *many = argument;
	for (size_t i = 0; i < many->count; i++)
		cgc_release(many->node);
	return NULL;
}

static void *upgrade_many(void *argument)
{
	struct many *many = argument;
	for (size_t i = 0; i < many->count; i++)
		MUST(cgc_weak_load(many->weak) == many->node);
	return NULL;
}

static bool is_immortal(const struct node *node)
{
	/* No order needed: the caller holds it. */
	return CGC__KIND(atomic_load_explicit(&cgc__header_of(node)->bias, memory_order_relaxed)) ==
	       CGC__IMMORTAL;
}

/* 2^24 of anything take minutes and gigabytes there, and show nothing that a sanitizer looks for: all this is
 * arithmetic in one word. */
static void skip_if_sanitized(void)
{
	if (IS_SANITIZED) {
		print_message("skipped: counts of 2^24 are for builds without a sanitizer\n");
		skip();
	}
}

static struct many begin_many(size_t count)
{
	struct many many = {.node = make(1), .count = count};
	cgc_publish(many.node);
	return many;
}

/* The caller has given all its references back. It is there for ever, or it is gone. */
static void end_many(struct many *many, bool is_immortal)
{
	settle();
	if (is_immortal) {
		node_check(many->node);
		assert_int_equal(count_of(&destroyed), 0);
		assert_int_equal(live(), 1);
		live_before++; /* for the rest of the program */
	} else {
		assert_int_equal(count_of(&destroyed), 1);
		assert_int_equal(live(), 0);
	}
}

static void retained_up_to_the_limit_an_object_dies_as_any_other(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = begin_many(LIMIT);
	in_thread(retain_many, &many);
	assert_int_equal(cgc_reference_count(many.node), LIMIT + 1);
	in_thread(release_many, &many);
	cgc_collect(2);
	node_check(many.node);
	cgc_release(many.node);
	end_many(&many, false);
}

static void retained_too_often_by_others_an_object_is_immortal(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = begin_many(LIMIT + 2);
	in_thread(retain_many, &many);
	in_thread(release_many, &many);
	cgc_release(many.node);
	end_many(&many, true);
}

/* The owner's own references are counted apart, until another thread's release merges the two. */
static void retained_too_often_by_its_owner_an_object_is_immortal_once_merged(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = begin_many(LIMIT + 2), one = many;
	one.count = 1;
	retain_many(&many);
	in_thread(release_many, &one); /* below zero in shared: the bias goes */
	cgc_collect(2);
	node_check(many.node);
	many.count = LIMIT + 2;
	release_many(&many);
	end_many(&many, true);
}

/* The background thread stops where it has taken the bias of the watched object away and not yet added the two
 * counts. */
static struct cgc__header *_Atomic watched;
static sem_t bias_taken, go_on;

static void stop_between(const char *point)
{
	/* Pairs: the store in the test; the object is alive as long as it is watched. */
	struct cgc__header *header = atomic_load_explicit(&watched, memory_order_acquire);
	if (header == NULL || strcmp(point, "grace.numbered") != 0)
		return;
	/* No order needed: the background thread itself writes them. */
	uint32_t bias = atomic_load_explicit(&header->bias, memory_order_relaxed);
	uint64_t shared = atomic_load_explicit(&header->shared, memory_order_relaxed);
	if (CGC__KIND(bias) != CGC__UNBIASED || (shared & CGC__MERGED) != 0)
		return;
	/* No order needed: as above. */
	atomic_store_explicit(&watched, NULL, memory_order_relaxed);
	sem_post(&bias_taken);
	wait_for(&go_on);
}

/* More than fits into a word, half of it in either: the two are added when the bias goes. */
static void a_sum_that_cannot_be_counted_is_immortal(UNUSED void **state)
{
	skip_if_sanitized();
	assert_int_equal(cgc_stop(), live_before);
	assert_int_equal(start_with("enable=0,poison=1,yield=1000000000"), 0);
	struct many many = begin_many(LIMIT - 1), one = many;
	sem_init(&bias_taken, 0, 0);
	sem_init(&go_on, 0, 0);
	cgc__pause_handle(stop_between);
	retain_many(&many); /* LIMIT in local, with the first */
	atomic_store_explicit(&watched, cgc__header_of(many.node), memory_order_release);
	one.count = 1;
	in_thread(release_many, &one); /* below zero in shared */
	wait_for(&bias_taken);
	many.count = LIMIT + 2;
	in_thread(retain_many, &many); /* as many as shared counts before it is too many */
	sem_post(&go_on);
	cgc_collect(2);
	cgc__pause_handle(NULL);
	sem_destroy(&bias_taken);
	sem_destroy(&go_on);
	/* Or the first release would meet a count below zero. */
	assert_true(is_immortal(many.node));
	many.count = 2 * LIMIT + 1;
	in_thread(release_many, &many);
	end_many(&many, true);
}

static void upgraded_up_to_the_limit_an_object_dies_as_any_other(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = begin_many(LIMIT);
	many.weak = cgc_weak_new(many.node, count_callback, NULL);
	upgrade_many(&many);
	in_thread(release_many, &many);
	cgc_release(many.node);
	end_many(&many, false);
	assert_int_equal(count_of(&called_back), 1);
	cgc_weak_free(many.weak);
}

static void upgraded_too_often_an_object_is_immortal(UNUSED void **state)
{
	skip_if_sanitized();
	/* Twice the limit is where the count's sign would turn. */
	struct many many = begin_many(2 * LIMIT + 2);
	many.weak = cgc_weak_new(many.node, count_callback, NULL);
	upgrade_many(&many);
	assert_true(is_immortal(many.node));
	in_thread(release_many, &many);
	cgc_release(many.node);
	end_many(&many, true);
	assert_int_equal(count_of(&called_back), 0);
	cgc_weak_free(many.weak);
}

/* More slots than can be counted, filled before the array is published or afterwards. */
static void stored_too_often_an_object_is_immortal(UNUSED void **state)
{
	skip_if_sanitized();
	for (enum place place = PUBLISHED_LATER; place <= PUBLISHED_BEFORE; place++) {
		struct many many = {.node = make(1), .count = LIMIT + 2};
		many.array = make_large_array(place, many.count);
		for (size_t i = 0; i < many.count; i++)
			cgc_store(many.array, &many.array->items[i], many.node);
		cgc_store_consume(CGC_ROOT, &array_root, many.array);
		cgc_release(many.node);
		assert_int_equal(cgc_collect(2), 0);
		cgc_store(CGC_ROOT, &array_root, NULL);
		end_many(&many, true);
	}
}

/* Filled while private, it is a count of the owner's, and dies with it. */
static void stored_as_often_in_a_private_object_it_dies_with_that(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = {.node = make(1), .count = LIMIT + 2};
	many.array = make_large_array(PRIVATELY, many.count);
	for (size_t i = 0; i < many.count; i++)
		cgc_store(many.array, &many.array->items[i], many.node);
	assert_int_equal(cgc_reference_count(many.node), LIMIT + 3);
	cgc_release(many.node);
	cgc_release(many.array);
	end_many(&many, false);
}

/* A ring through an object that has become immortal is not garbage; the rest of it can be cut off. */
static void a_ring_through_an_immortal_object_lives(UNUSED void **state)
{
	skip_if_sanitized();
	struct many many = begin_many(LIMIT + 2);
	struct node *other = make(2);
	cgc_store(other, &other->slot[0], many.node);
	cgc_store_consume(many.node, &many.node->slot[0], other);
	in_thread(retain_many, &many);
	cgc_release(many.node);
	assert_int_equal(cgc_collect(2), 0);
	node_check(other);
	cgc_store(many.node, &many.node->slot[0], NULL);
	cgc_collect(2);
	assert_int_equal(count_of(&destroyed), 1);
	count_clear(&destroyed);
	end_many(&many, true);
}

/* ---------------------------------------------------------------------------------------------
 * All types there can be, in a process of its own
 * ------------------------------------------------------------------------------------------- */

enum { TYPES = 65535 };

static struct cgc_type *make_types(size_t count)
{
	struct cgc_type *types = calloc(count, sizeof(*types));
	MUST(types != NULL);
	for (size_t i = 0; i < count; i++) {
		types[i].name = "one of many";
		types[i].size = plain_type.size;
		types[i].fields = plain_type.fields;
		types[i].field_count = plain_type.field_count;
	}
	return types;
}

static struct cgc_type *use_all_types(void)
{
	static struct node *last;
	struct cgc_type *types = make_types(TYPES + 1);
	for (size_t i = 0; i < TYPES; i++) {
		struct node *node = make_of(&types[i], (int)i);
		MUST(cgc_type_of(node) == &types[i]);
		cgc_store_consume(node, &node->slot[0], last);
		last = node;
	}
	/* The first are known as well as the last. */
	cgc_store_consume(CGC_ROOT, &root, last);
	MUST(cgc_collect(2) == 0);
	MUST(live() == TYPES);
	cgc_store(CGC_ROOT, &root, NULL);
	settle();
	MUST(live() == 0);
	for (size_t i = 0; i < TYPES; i++)
		cgc_release(make_of(&types[i], 1));
	return types;
}

static void play_all_types(void)
{
	use_all_types();
	MUST(cgc_stop() == 0);
}

static void play_a_type_too_many(void)
{
	cgc_new(&use_all_types()[TYPES]);
}

static void play_a_type_too_many_tried(void)
{
	cgc_try_new(&use_all_types()[TYPES]);
}

static const struct scene scenes[] = {
	{"all_types", play_all_types},
	{"a_type_too_many", play_a_type_too_many},
	{"a_type_too_many_tried", play_a_type_too_many_tried},
};

static void as_many_types_as_promised_can_be_used(UNUSED void **state)
{
	assert_ends_well("all_types", "enable=0");
}

static void a_type_more_is_refused_with_a_message(UNUSED void **state)
{
	assert_aborts("a_type_too_many", "enable=0", "cgc_new", "65,535 types");
	assert_aborts("a_type_too_many_tried", "enable=0", "cgc_try_new", "65,535 types");
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(a_million_references_are_counted_and_given_back),
		TEST(a_ring_through_a_million_references_is_garbage_as_a_whole),
		TEST(an_object_that_refers_to_itself_is_garbage_as_any_ring),
		TEST(retained_up_to_the_limit_an_object_dies_as_any_other),
		TEST(retained_too_often_by_others_an_object_is_immortal),
		TEST(retained_too_often_by_its_owner_an_object_is_immortal_once_merged),
		TEST(a_sum_that_cannot_be_counted_is_immortal),
		TEST(upgraded_up_to_the_limit_an_object_dies_as_any_other),
		TEST(upgraded_too_often_an_object_is_immortal),
		TEST(stored_too_often_an_object_is_immortal),
		TEST(stored_as_often_in_a_private_object_it_dies_with_that),
		TEST(a_ring_through_an_immortal_object_lives),
		TEST(as_many_types_as_promised_can_be_used),
		TEST(a_type_more_is_refused_with_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
