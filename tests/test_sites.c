/* SPDX-License-Identifier: MIT
 *
 * With debug=1 the report of what is still alive says where it was allocated. Each scene forgets something, in a
 * process of its own; linked with -rdynamic, because only then does the dynamic linker know the functions' names.
 */
#include <link.h>

#include "child.h"
#include "heap.h"

/* The linker's: the first byte of the program, which is at 0 in its file unless it is of a fixed address. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static node_ref root;
static cgc_ref(struct array) array_root;

/* ---------------------------------------------------------------------------------------------
 * Who allocates
 * ------------------------------------------------------------------------------------------- */

#define ALLOCATOR __attribute__((noinline, visibility("default")))
struct node *parse(void);
struct node *cache(void);
struct node *borrow(void);
struct array *enlarge(size_t length);
struct array *reserve(size_t length);
struct node *allocate_at_seven_places(int place);

/* Something is done after the call, so that it is no jump and the function is on the stack. */
ALLOCATOR struct node *parse(void)
{
	struct node *node = cgc_new(&node_type);
	node->magic = NODE_MAGIC;
	return node;
}

ALLOCATOR struct node *cache(void)
{
	struct node *node = cgc_new(&node_type);
	node->magic = NODE_MAGIC;
	return node;
}

ALLOCATOR struct node *borrow(void)
{
	struct node *node = cgc_try_new(&node_type);
	MUST(node != NULL);
	node->magic = NODE_MAGIC;
	return node;
}

ALLOCATOR struct array *enlarge(size_t length)
{
	struct array *array = cgc_new_n(&array_type, length);
	array->length = length;
	return array;
}

ALLOCATOR struct array *reserve(size_t length)
{
	struct array *array = cgc_try_new_n(&array_type, length);
	MUST(array != NULL);
	array->length = length;
	return array;
}

ALLOCATOR struct node *allocate_at_seven_places(int place)
{
	struct node *node = NULL;
	switch (place) {
#define PLACE(number)                        \
	case number:                         \
		node = cgc_new(&plain_type); \
		node->id = number;           \
		break
		PLACE(1);
		PLACE(2);
		PLACE(3);
		PLACE(4);
		PLACE(5);
		PLACE(6);
		PLACE(7);
	default:
		abort();
	}
	return node;
}

/* ---------------------------------------------------------------------------------------------
 * Scenes
 * ------------------------------------------------------------------------------------------- */

static void play_one(void)
{
	parse();
	MUST(cgc_stop() == 1);
}

static void play_every_call(void)
{
	parse();
	borrow();
	enlarge(3);
	reserve(4);
	MUST(cgc_stop() == 4);
}

static void play_large(void)
{
	enlarge(100000);
	reserve(200000);
	reserve(200000);
	MUST(cgc_stop() == 3);
}

static void play_two_places(void)
{
	for (int i = 0; i < 5; i++) {
		parse();
		cache();
		cache();
	}
	cgc_new(&leaf_type);
	MUST(cgc_stop() == 16);
}

static void play_seven_places(void)
{
	for (int place = 1; place <= 7; place++)
		for (int i = 0; i < 10 * place; i++)
			allocate_at_seven_places(place);
	MUST(cgc_stop() == 280);
}

static void play_nothing(void)
{
	for (int i = 0; i < 1000; i++) {
		cgc_release(parse());
		struct node *first = cache(), *second = borrow();
		cgc_store(first, &first->slot[0], second);
		cgc_store_consume(second, &second->slot[0], first);
		cgc_release(second);
		cgc_release(enlarge(10000));
	}
	MUST(cgc_stop() == 0);
}

/* The cell of the one that died is the next one's. */
static void play_reuse(void)
{
	struct node *dead = parse();
	cgc_release(dead);
	MUST(cache() == dead);
	MUST(cgc_stop() == 1);
}

/* The thread is attached, and has room to list another slab: the next request is for the slab, then for its places. */
static void begin(void)
{
	cgc_release(cgc_new(&leaf_type));
}

/* The first object in a slab, whose record finds no memory; and the second, for which there is some. */
static void play_no_memory(void)
{
	begin();
	cgc__memory_fail_at(2);
	parse();
	cache();
	cgc__memory_fail_at(0);
	MUST(cgc_stop() == 2);
}

static void play_no_memory_for_long(void)
{
	begin();
	cgc__memory_fail_count(UINT64_MAX);
	cgc__memory_fail_at(2);
	for (int i = 0; i < 10; i++)
		parse();
	cgc__memory_fail_at(0);
	MUST(cgc_stop() == 10);
}

/* More places than there is room for: new ones are unknown, those that were before are not. */
static void play_too_many_places(void)
{
	parse();
	struct node *node = cache();
	const struct cgc__header *header = cgc__header_of(node);
	struct cgc__slab *slab = cgc__slab_of(header);
	for (uintptr_t address = 16; address < 16 * 200000; address += 16)
		cgc__sites_record(slab, cgc__slab_cell(slab, header), (void *)address);
	parse();
	borrow();
	MUST(cgc_stop() == 4);
}

static void *leave_two(UNUSED void *argument)
{
	cgc_store_consume(CGC_ROOT, &root, parse());
	cgc_store_consume(CGC_ROOT, &array_root, enlarge(20000));
	return NULL;
}

static void *leave_another(UNUSED void *argument)
{
	struct node *first = cgc_load(CGC_ROOT, &root);
	cgc_store_consume(first, &first->slot[0], cache());
	cgc_release(first);
	return NULL;
}

/* The second thread adopts what the first one had. */
static void play_threads_that_end(void)
{
	in_thread(leave_two, NULL);
	in_thread(leave_another, NULL);
	MUST(cgc_stop() == 3);
}

static void *leave_many(UNUSED void *argument)
{
	for (int i = 0; i < 1000; i++) {
		struct node *node = i % 2 == 0 ? parse() : cache();
		cgc_publish(node);
		/* Every fourth of them dies by another thread's hand, or by its own. */
		if (i % 4 == 0)
			cgc_store_consume(CGC_ROOT, &root, node);
	}
	return NULL;
}

static void play_threads_at_once(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		threads[i] = thread_start(leave_many, NULL);
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	cgc_store(CGC_ROOT, &root, NULL);
	MUST(cgc_stop() == 3000);
}

/* One run with debug=1, one without, one with: what the second has put into the first one's cells is not taken for the
 * first one's. */
static void play_restart(void)
{
	MUST(cgc_start("debug=1") == 0);
	cgc_store_consume(CGC_ROOT, &root, parse());
	cgc_release(parse());
	MUST(cgc_stop() == 1);
	fputs("second run\n", stderr);
	MUST(cgc_start("") == 0);
	cgc_publish(cache());
	MUST(cgc_stop() == 2);
	fputs("third run\n", stderr);
	MUST(cgc_start("debug=1") == 0);
	cgc_publish(borrow());
	MUST(cgc_stop() == 3);
}

static const struct scene scenes[] = {
	{"one", play_one},
	{"every_call", play_every_call},
	{"large", play_large},
	{"two_places", play_two_places},
	{"seven_places", play_seven_places},
	{"nothing", play_nothing},
	{"reuse", play_reuse},
	{"no_memory", play_no_memory},
	{"no_memory_for_long", play_no_memory_for_long},
	{"too_many_places", play_too_many_places},
	{"threads_that_end", play_threads_that_end},
	{"threads_at_once", play_threads_at_once},
	{"restart", play_restart},
};

/* ---------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------- */

static struct ending ending;

static void play(const char *scene, const char *options)
{
	run_scene(scene, options, &ending);
	if (!WIFEXITED(ending.status) || WEXITSTATUS(ending.status) != 0)
		fail_msg("scene %s: status %#x, stderr:\n%s", scene, ending.status, ending.text);
}

static int lines(void)
{
	int count = 0;
	for (const char *at = ending.text; (at = strchr(at, '\n')) != NULL; at++)
		count++;
	return count;
}

static void assert_silent_about(const char *part)
{
	if (strstr(ending.text, part) != NULL)
		fail_msg("stderr says \"%s\":\n%s", part, ending.text);
}

static void an_object_that_is_forgotten_is_reported_with_its_function(UNUSED void **state)
{
	play("one", "debug=1");
	assert_says(&ending, "cgc: cgc_stop: 1 objects of type node (");
	assert_says(&ending, "are still alive\ncgc: cgc_stop:   1 allocated at parse+0x");
	assert_int_equal(lines(), 2);
}

/* The same place twice: in the function, and as the file's own address, which is what addr2line takes. */
static void the_place_is_told_as_an_address_in_the_file_too(UNUSED void **state)
{
	struct node *(*function)(void) = parse;
	void *address;
	memcpy(&address, &function, sizeof(address));
	uintptr_t moved = __ehdr_start.e_type == ET_DYN ? (uintptr_t)&__ehdr_start : 0;
	char program[512], start[600];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	assert_true(length > 0);
	program[length] = '\0';
	snprintf(start, sizeof(start), " (%s+0x", program);

	play("one", "debug=1");
	const char *in_function = strstr(ending.text, "parse+0x"), *in_file = strstr(ending.text, start);
	assert_non_null(in_function);
	assert_non_null(in_file);
	uintptr_t offset = strtoul(in_function + strlen("parse+"), NULL, 16);
	assert_true(offset > 0);
	assert_int_equal(strtoul(in_file + strlen(start) - 2, NULL, 16), (uintptr_t)address - moved + offset);
}

static void each_call_that_allocates_names_its_caller(UNUSED void **state)
{
	play("every_call", "debug=1");
	assert_says(&ending, " 1 allocated at parse+0x");
	assert_says(&ending, " 1 allocated at borrow+0x");
	assert_says(&ending, " 1 allocated at enlarge+0x");
	assert_says(&ending, " 1 allocated at reserve+0x");
	assert_int_equal(lines(), 6);
}

static void large_objects_have_a_place_too(UNUSED void **state)
{
	play("large", "debug=1");
	assert_says(&ending, "alive\ncgc: cgc_stop:   2 allocated at reserve+0x");
	assert_says(&ending, " 1 allocated at enlarge+0x");
	assert_int_equal(lines(), 3);
}

static void two_places_of_one_type_are_told_apart_the_more_frequent_first(UNUSED void **state)
{
	play("two_places", "debug=1");
	assert_says(&ending, "10 allocated at cache+0x");
	assert_says(&ending, "5 allocated at parse+0x");
	assert_true(strstr(ending.text, "at cache+0x") < strstr(ending.text, "at parse+0x"));
	assert_says(&ending, "type leaf");
	/* A static function: only its address is known. */
	assert_says(&ending, "1 allocated at ?? (/");
	assert_int_equal(lines(), 5);
}

static void of_many_places_the_five_most_frequent_are_named(UNUSED void **state)
{
	play("seven_places", "debug=1");
	const char *at = strstr(ending.text, "280 objects of type plain");
	assert_non_null(at);
	for (int count = 70; count >= 30; count -= 10) {
		char line[96];
		snprintf(line, sizeof(line), "\ncgc: cgc_stop:   %d allocated at allocate_at_seven_places+0x",
		         count);
		const char *next = strstr(at, line);
		if (next == NULL) {
			fail_msg("no line \"%s\", or not in its place:\n%s", line + 1, ending.text);
			return;
		}
		at = next;
	}
	assert_non_null(strstr(at, "\ncgc: cgc_stop:   30 allocated at other places\n"));
	assert_int_equal(lines(), 7);
}

static void objects_that_died_leave_nothing(UNUSED void **state)
{
	play("nothing", "debug=1");
	assert_string_equal(ending.text, "");
	play("reuse", "debug=1");
	assert_says(&ending, "1 allocated at cache+0x");
	assert_silent_about("parse");
	assert_int_equal(lines(), 2);
}

static void without_memory_for_the_places_the_report_still_comes(UNUSED void **state)
{
	play("no_memory", "debug=1");
	assert_says(&ending, "2 objects of type node (");
	assert_says(&ending, "1 allocated at cache+0x");
	assert_says(&ending, "1 allocated at places unknown\n");
	assert_int_equal(lines(), 3);
	play("no_memory_for_long", "debug=1");
	assert_says(&ending, "10 objects of type node (");
	assert_says(&ending, "10 allocated at places unknown\n");
	assert_int_equal(lines(), 2);
}

static void when_there_are_too_many_places_those_known_stay_so(UNUSED void **state)
{
	play("too_many_places", "debug=1");
	assert_says(&ending, "4 objects of type node (");
	assert_says(&ending, "2 allocated at parse+0x");
	assert_says(&ending, "2 allocated at places unknown\n");
	assert_int_equal(lines(), 3);
}

static void what_a_thread_leaves_keeps_its_place(UNUSED void **state)
{
	play("threads_that_end", "debug=1");
	assert_says(&ending, "2 objects of type node (");
	assert_says(&ending, "1 allocated at parse+0x");
	assert_says(&ending, "1 allocated at cache+0x");
	assert_says(&ending, "1 allocated at enlarge+0x");
	assert_int_equal(lines(), 5);
}

static void many_threads_agree_on_the_places(UNUSED void **state)
{
	const char *const options[] = {"debug=1", "debug=1,eager=1,pending=1,suspects=1,yield=2",
	                               "debug=1,collect=2"};
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		play("threads_at_once", options[i]);
		assert_says(&ending, "3000 objects of type node (");
		assert_says(&ending, "2000 allocated at cache+0x");
		assert_says(&ending, "1000 allocated at parse+0x");
		assert_int_equal(lines(), 3);
	}
}

/* What was allocated in a run without debug=1 is unknown, not somewhere else. */
static void no_place_is_taken_for_that_of_another_run(UNUSED void **state)
{
	play("restart", NULL);
	assert_says(&ending, "1 allocated at parse+0x");
	const char *third = strstr(ending.text, "third run\n");
	assert_non_null(strstr(ending.text, "second run\nthird run\n"));
	assert_non_null(strstr(third, "3 objects of type node ("));
	assert_non_null(strstr(third, "1 allocated at borrow+0x"));
	assert_non_null(strstr(third, "2 allocated at places unknown\n"));
	assert_null(strstr(third, "parse"));
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(*scenes));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_that_is_forgotten_is_reported_with_its_function),
		cmocka_unit_test(the_place_is_told_as_an_address_in_the_file_too),
		cmocka_unit_test(each_call_that_allocates_names_its_caller),
		cmocka_unit_test(large_objects_have_a_place_too),
		cmocka_unit_test(two_places_of_one_type_are_told_apart_the_more_frequent_first),
		cmocka_unit_test(of_many_places_the_five_most_frequent_are_named),
		cmocka_unit_test(objects_that_died_leave_nothing),
		cmocka_unit_test(without_memory_for_the_places_the_report_still_comes),
		cmocka_unit_test(when_there_are_too_many_places_those_known_stay_so),
		cmocka_unit_test(what_a_thread_leaves_keeps_its_place),
		cmocka_unit_test(many_threads_agree_on_the_places),
		cmocka_unit_test(no_place_is_taken_for_that_of_another_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
