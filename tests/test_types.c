/* SPDX-License-Identifier: MIT
 *
 * Declarations of types: what is accepted, what is refused and how, and what an object knows of its type.
 */
#include "child.h"

struct pair {
	cgc_ref(struct pair) left;
	uint64_t number;
	cgc_ref(struct pair) right;
};

/* ---------------------------------------------------------------------------------------------
 * Refused: each scene uses one broken declaration
 * ------------------------------------------------------------------------------------------- */

static void use(struct cgc_type *type)
{
	cgc_release(cgc_new(type));
}

static struct cgc_type too_short_type = {
	.name = "too_short",
	.size = sizeof(struct pair) - 8,
	CGC_FIELDS(CGC_FIELD(struct pair, left), CGC_FIELD(struct pair, right))};

static void play_out_of_range(void)
{
	use(&too_short_type);
}

static void play_far_out_of_range(void)
{
	static const struct cgc_field fields[] = {{SIZE_MAX - 7, "beyond"}};
	static struct cgc_type type = {.name = "far_out", .size = 64, .fields = fields, .field_count = 1};
	use(&type);
}

static struct cgc_type overlapping_type = {
	.name = "overlapping",
	.size = sizeof(struct pair),
	CGC_FIELDS(CGC_FIELD(struct pair, right), CGC_FIELD(struct pair, left), CGC_FIELD(struct pair, right))};

static void play_overlapping(void)
{
	use(&overlapping_type);
}

static void play_misaligned(void)
{
	static const struct cgc_field fields[] = {{0, "good"}, {12, "crooked"}};
	static struct cgc_type type = {.name = "misaligned", .size = 64, .fields = fields, .field_count = 2};
	use(&type);
}

static void play_no_name(void)
{
	static struct cgc_type type = {.size = 8};
	use(&type);
}

static void play_unknown_flags(void)
{
	static struct cgc_type type = {.name = "flagged", .size = 8, .flags = 0x8000u};
	use(&type);
}

static void play_no_fields(void)
{
	static struct cgc_type type = {.name = "fieldless", .size = 64, .field_count = 3};
	use(&type);
}

static void play_trailing_before_the_end(void)
{
	static struct cgc_type type = {.name = "headless",
	                               .size = 64,
	                               .flags = CGC_TRAILING,
	                               .trailing = {.offset = 8, .name = "rest"}};
	cgc_release(cgc_new_n(&type, 4));
}

static void play_two_trailing_arrays(void)
{
	static struct cgc_type type = {.name = "two_tails",
	                               .size = 16,
	                               .flags = CGC_TRAILING | CGC_TRAILING_BYTES,
	                               .trailing = {.offset = 16, .name = "rest"}};
	cgc_release(cgc_new_n(&type, 4));
}

static void play_trailing_misaligned(void)
{
	static struct cgc_type type = {.name = "crooked_tail",
	                               .size = 12,
	                               .flags = CGC_TRAILING,
	                               .trailing = {.offset = 12, .name = "rest"}};
	cgc_release(cgc_new_n(&type, 4));
}

/* More types than there are numbers. */
static void play_too_many(void)
{
	struct cgc_type *types = calloc(65536, sizeof(*types));
	MUST(types != NULL);
	for (size_t i = 0; i < 65536; i++) {
		types[i] = (struct cgc_type){.name = "one_of_many", .size = 8};
		if (i == 65535)
			fprintf(stderr, "65,535 types were accepted\n");
		use(&types[i]);
	}
}

static const struct scene scenes[] = {
	{"out_of_range", play_out_of_range},
	{"far_out_of_range", play_far_out_of_range},
	{"overlapping", play_overlapping},
	{"misaligned", play_misaligned},
	{"no_name", play_no_name},
	{"unknown_flags", play_unknown_flags},
	{"no_fields", play_no_fields},
	{"trailing_before_the_end", play_trailing_before_the_end},
	{"trailing_misaligned", play_trailing_misaligned},
	{"two_trailing_arrays", play_two_trailing_arrays},
	{"too_many", play_too_many},
};

static void assert_refused(const char *scene, const char *type, const char *field)
{
	struct ending ending;
	run_scene(scene, NULL, &ending);
	if (!WIFSIGNALED(ending.status) || WTERMSIG(ending.status) != SIGABRT)
		fail_msg("scene %s: expected SIGABRT, got status %#x, stderr:\n%s", scene, ending.status,
		         ending.text);
	assert_says(&ending, "cgc: ");
	assert_says(&ending, type);
	assert_says(&ending, field);
}

static void a_field_outside_of_the_object_is_refused(UNUSED void **state)
{
	assert_refused("out_of_range", "too_short", "right");
	assert_refused("far_out_of_range", "far_out", "beyond");
}

static void overlapping_fields_are_refused(UNUSED void **state)
{
	assert_refused("overlapping", "overlapping", "right");
}

static void a_misaligned_field_is_refused(UNUSED void **state)
{
	assert_refused("misaligned", "misaligned", "crooked");
	assert_refused("trailing_misaligned", "crooked_tail", "rest");
}

static void a_trailing_array_before_the_end_is_refused(UNUSED void **state)
{
	assert_refused("trailing_before_the_end", "headless", "rest");
}

static void incomplete_declarations_are_refused(UNUSED void **state)
{
	assert_refused("no_name", "name", "name");
	assert_refused("unknown_flags", "flagged", "flags");
	assert_refused("no_fields", "fieldless", "fields");
}

static void there_is_room_for_65535_types(UNUSED void **state)
{
	struct ending ending;
	run_scene("too_many", NULL, &ending);
	assert_true(WIFSIGNALED(ending.status));
	assert_int_equal(WTERMSIG(ending.status), SIGABRT);
	assert_says(&ending, "65,535 types were accepted");
	assert_says(&ending, "cgc: ");
}

/* ---------------------------------------------------------------------------------------------
 * Accepted
 * ------------------------------------------------------------------------------------------- */

static struct cgc_type pair_type = {.name = "pair",
                                    .size = sizeof(struct pair),
                                    CGC_FIELDS(CGC_FIELD(struct pair, left), CGC_FIELD(struct pair, right))};

static void the_fields_of_a_type_are_those_that_are_declared(UNUSED void **state)
{
	assert_int_equal(pair_type.field_count, 2);
	assert_int_equal(pair_type.fields[0].offset, offsetof(struct pair, left));
	assert_string_equal(pair_type.fields[0].name, "left");
	assert_int_equal(pair_type.fields[1].offset, offsetof(struct pair, right));
	assert_string_equal(pair_type.fields[1].name, "right");
	struct pair *pair = cgc_new(&pair_type);
	assert_ptr_equal(cgc_type_of(pair), &pair_type);
	assert_int_equal(cgc_trailing_count(pair), 0);
	cgc_release(pair);
}

static void a_new_object_is_all_zero(UNUSED void **state)
{
	/* The second time the memory has been used before. */
	for (int round = 0; round < 2; round++) {
		struct node *nodes[100];
		for (int i = 0; i < 100; i++) {
			nodes[i] = cgc_new(&plain_type);
			const unsigned char *bytes = (const unsigned char *)nodes[i];
			for (size_t j = 0; j < sizeof(struct node); j++)
				assert_int_equal(bytes[j], 0);
			nodes[i]->magic = NODE_MAGIC;
		}
		for (int i = 0; i < 100; i++)
			cgc_release(nodes[i]);
	}
}

static void a_new_object_of_any_size_is_all_zero(UNUSED void **state)
{
	static struct cgc_type types[600];
	for (size_t size = 1; size < 600; size++) {
		types[size] = (struct cgc_type){.name = "any", .size = size};
		for (int round = 0; round < 2; round++) {
			unsigned char *objects[3];
			for (int i = 0; i < 3; i++) {
				objects[i] = cgc_new(&types[size]);
				for (size_t j = 0; j < size; j++)
					assert_int_equal(objects[i][j], 0);
				memset(objects[i], 0xff, size);
			}
			for (int i = 0; i < 3; cgc_release(objects[i++]))
				assert_true(objects[i][0] == 0xff && objects[i][size - 1] == 0xff);
		}
	}
}

static struct cgc_type wide_types[] = {
	{.name = "wide", .size = 512, CGC_FIELDS({0, "first"}, {8, "second"}, {62 * 8, "63rd"})},
	{.name = "wider",
         .size = 1024,
         CGC_FIELDS({0, "first"}, {62 * 8, "63rd"}, {63 * 8, "64th"}, {127 * 8, "last"})},
};

static void references_anywhere_in_an_object_are_released(UNUSED void **state)
{
	for (struct cgc_type *type = wide_types; type < wide_types + 2; type++)
		for (size_t i = 0; i < type->field_count; i++) {
			char *wide = cgc_new(type);
			cgc_store_consume(wide, (node_ref *)(wide + type->fields[i].offset), make((int)i));
			assert_int_equal(live(), 2);
			cgc_release(wide);
			assert_int_equal(live(), 0);
		}
}

static void objects_of_any_size_are_apart_and_aligned(UNUSED void **state)
{
	static const size_t sizes[] = {1,   7,    8,    16,   24,   40,   63,    64,     65,
	                               200, 1000, 4096, 8000, 8192, 9000, 65536, 1 << 20};
	enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
	static struct cgc_type types[COUNT];
	unsigned char *objects[COUNT][3];
	for (size_t i = 0; i < COUNT; i++) {
		types[i] = (struct cgc_type){.name = "sized", .size = sizes[i]};
		for (int j = 0; j < 3; j++) {
			objects[i][j] = cgc_new(&types[i]);
			assert_int_equal((uintptr_t)objects[i][j] % _Alignof(max_align_t), 0);
			memset(objects[i][j], (int)(3 * i) + j, sizes[i]);
		}
	}
	for (size_t i = 0; i < COUNT; i++)
		for (int j = 0; j < 3; j++) {
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(objects[i][j][k], (unsigned char)(3 * i) + j);
			cgc_release(objects[i][j]);
		}
	assert_int_equal(live(), 0);
}

static void a_type_without_size_is_a_type(UNUSED void **state)
{
	static struct cgc_type type = {.name = "empty"};
	void *one = cgc_new(&type), *other = cgc_new(&type);
	assert_ptr_not_equal(one, other);
	cgc_publish(other);
	cgc_release(one);
	cgc_release(other);
}

static void two_trailing_arrays_are_refused(UNUSED void **state)
{
	assert_refused("two_trailing_arrays", "two_tails", "two trailing arrays");
}

struct text {
	cgc_ref(struct node) about;
	char bytes[];
};
static struct cgc_type text_type = {.name = "text",
                                    .size = sizeof(struct text),
                                    CGC_FIELDS(CGC_FIELD(struct text, about)),
                                    .flags = CGC_TRAILING_BYTES,
                                    .trailing = CGC_BYTES_FIELD(struct text, bytes)};

/* Bytes that look like references are none, wherever the object goes. */
static void trailing_bytes_are_cleared_and_never_followed(UNUSED void **state)
{
	static const size_t lengths[] = {0, 1, 7, 8, 1000, 100000};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct text *text = cgc_new_n(&text_type, lengths[i]);
		assert_int_equal(cgc_trailing_count(text), lengths[i]);
		for (size_t j = 0; j < lengths[i]; j++)
			assert_int_equal(text->bytes[j], 0);
		memset(text->bytes, 0x41, lengths[i]);
		struct node *node = make(1);
		cgc_store(node, &node->slot[0], node);
		cgc_store_consume(text, &text->about, node);
		cgc_collect(0);
		cgc_publish(text);
		cgc_collect(2);
		assert_int_equal(live(), 2);
		cgc_release(text);
		cgc_collect(2);
		assert_int_equal(live(), 0);
	}
}

static void a_trailing_array_has_the_length_it_was_made_with(UNUSED void **state)
{
	static const size_t lengths[] = {0, 1, 2, 3, 100, 1000, 5000, 100000};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t length = lengths[i];
		struct array *array = cgc_new_n(&array_type, length);
		assert_int_equal(cgc_trailing_count(array), length);
		assert_ptr_equal(cgc_type_of(array), &array_type);
		for (size_t j = 0; j < length; j++)
			assert_null(cgc_load(array, &array->items[j]));
		for (size_t j = 0; j < length; j += 7)
			cgc_store_consume(array, &array->items[j], make((int)j));
		for (size_t j = 0; j < length; j += 7) {
			struct node *node = cgc_load(array, &array->items[j]);
			assert_int_equal(node->id, j);
			cgc_release(node);
		}
		cgc_release(array);
		assert_int_equal(count_of(&destroyed), (length + 6) / 7);
		count_clear(&destroyed);
	}
	struct array *array = cgc_new(&array_type);
	assert_int_equal(cgc_trailing_count(array), 0);
	cgc_release(array);
}

static void try_new_makes_the_same_objects(UNUSED void **state)
{
	struct node *node = cgc_try_new(&node_type);
	assert_non_null(node);
	node->magic = NODE_MAGIC;
	assert_ptr_equal(cgc_type_of(node), &node_type);
	assert_int_equal(cgc_reference_count(node), 1);
	struct array *array = cgc_try_new_n(&array_type, 5);
	assert_non_null(array);
	assert_int_equal(cgc_trailing_count(array), 5);
	cgc_store_consume(array, &array->items[4], node);
	cgc_release(array);
	assert_int_equal(count_of(&destroyed), 1);
}

/* An acyclic type may have references to acyclic types. */
struct cell {
	cgc_ref(struct leaf) leaf;
	cgc_ref(struct cell) rest;
};

static struct cgc_type cell_type = {.name = "cell",
                                    .size = sizeof(struct cell),
                                    .flags = CGC_ACYCLIC,
                                    CGC_FIELDS(CGC_FIELD(struct cell, leaf), CGC_FIELD(struct cell, rest))};

static void an_acyclic_type_with_references_counts_them(UNUSED void **state)
{
	struct cell *first = NULL;
	for (int i = 0; i < 10; i++) {
		struct cell *cell = cgc_new(&cell_type);
		cgc_store_consume(cell, &cell->leaf, cgc_new(&leaf_type));
		cgc_store_consume(cell, &cell->rest, first);
		first = cell;
	}
	assert_int_equal(live(), 20);
	assert_int_equal(cgc_collect(2), 0);
	assert_int_equal(live(), 20);
	cgc_release(first);
	cgc_collect(2);
	assert_int_equal(live(), 0);
}

/* What visit_all() has seen. */
struct visited {
	void *object[8];
	int count;
};

static void visit(void *referent, void *argument)
{
	struct visited *visited = argument;
	MUST(visited->count < 8);
	visited->object[visited->count++] = referent;
}

/* CPython: test_get_referents */
static void visiting_shows_exactly_the_references(UNUSED void **state)
{
	struct node *node = make(0), *one = make(1), *two = make(2);
	struct visited visited = {.count = 0};
	cgc_visit_references(node, visit, &visited);
	assert_int_equal(visited.count, 0);
	cgc_store(node, &node->slot[0], one);
	cgc_store(node, &node->slot[1], (struct node *)(uintptr_t)0x77); /* an immediate is no object */
	cgc_store(node, &node->slot[2], two);
	cgc_visit_references(node, visit, &visited);
	assert_int_equal(visited.count, 2);
	assert_ptr_equal(visited.object[0], one);
	assert_ptr_equal(visited.object[1], two);
	struct array *array = cgc_new_n(&array_type, 4);
	cgc_store(array, &array->items[3], one);
	cgc_store(array, &array->items[1], one);
	visited.count = 0;
	cgc_visit_references(array, visit, &visited);
	assert_int_equal(visited.count, 2);
	assert_ptr_equal(visited.object[0], one);
	assert_ptr_equal(visited.object[1], one);
	struct leaf *leaf = cgc_new(&leaf_type);
	visited.count = 0;
	cgc_visit_references(leaf, visit, &visited);
	assert_int_equal(visited.count, 0);
	cgc_release(leaf);
	cgc_release(array);
	cgc_release(node);
	cgc_release(one);
	cgc_release(two);
}

static struct cgc_type fresh_type = {.name = "fresh", .size = 24};
static pthread_barrier_t barrier;

static void *use_fresh_type(UNUSED void *argument)
{
	meet(&barrier);
	void *object = cgc_new(&fresh_type);
	MUST(cgc_type_of(object) == &fresh_type);
	cgc_release(object);
	return NULL;
}

static void threads_may_use_a_type_first_at_the_same_time(UNUSED void **state)
{
	pthread_t threads[8];
	pthread_barrier_init(&barrier, NULL, 8);
	for (int i = 0; i < 8; i++)
		threads[i] = thread_start(use_fresh_type, NULL);
	for (int i = 0; i < 8; i++)
		thread_join(threads[i]);
	pthread_barrier_destroy(&barrier);
}

static void casting_changes_nothing(UNUSED void **state)
{
	struct node *node = make(1);
	assert_ptr_equal(cgc_cast(node, struct node, &node_type), node);
	void *nothing = NULL;
	assert_null(cgc_cast(nothing, struct node, &node_type));
	cgc_release(node);
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		TEST(a_field_outside_of_the_object_is_refused),
		TEST(overlapping_fields_are_refused),
		TEST(a_misaligned_field_is_refused),
		TEST(a_trailing_array_before_the_end_is_refused),
		TEST(incomplete_declarations_are_refused),
		TEST(there_is_room_for_65535_types),
		TEST(the_fields_of_a_type_are_those_that_are_declared),
		TEST(a_new_object_is_all_zero),
		TEST(a_new_object_of_any_size_is_all_zero),
		TEST(references_anywhere_in_an_object_are_released),
		TEST(objects_of_any_size_are_apart_and_aligned),
		TEST(a_type_without_size_is_a_type),
		TEST(a_trailing_array_has_the_length_it_was_made_with),
		TEST(two_trailing_arrays_are_refused),
		TEST(trailing_bytes_are_cleared_and_never_followed),
		TEST(try_new_makes_the_same_objects),
		TEST(an_acyclic_type_with_references_counts_them),
		TEST(visiting_shows_exactly_the_references),
		TEST(threads_may_use_a_type_first_at_the_same_time),
		TEST(casting_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
