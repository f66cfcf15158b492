/* SPDX-License-Identifier: MIT
 *
 * Misuse: with debug=1 the mistakes that programs make end at once, with a message that says where and on what.
 * Each scene makes one mistake, in a process of its own.
 */
#include "child.h"

static node_ref root;

/* ---------------------------------------------------------------------------------------------
 * Scenes
 * ------------------------------------------------------------------------------------------- */

static void play_double_release(void)
{
	struct node *node = make(1);
	cgc_release(node);
	cgc_release(node);
}

static void play_double_release_published(void)
{
	struct node *node = make(1);
	cgc_publish(node);
	cgc_release(node);
	cgc_collect(2);
	cgc_release(node);
}

static struct node *freed_node(void)
{
	struct node *node = make(1);
	cgc_release(node);
	return node;
}

static void play_retain_freed(void)
{
	cgc_retain(freed_node());
}

static void play_load_freed(void)
{
	struct node *node = freed_node();
	cgc_release(cgc_load(node, &node->slot[0]));
}

static void play_store_in_freed(void)
{
	struct node *node = freed_node();
	cgc_store(node, &node->slot[0], NULL);
}

static void play_store_freed(void)
{
	struct node *holder = make(2), *node = freed_node();
	cgc_store(holder, &holder->slot[0], node);
}

static void play_store_freed_in_root(void)
{
	cgc_store(CGC_ROOT, &root, freed_node());
}

static void play_exchange_in_freed(void)
{
	struct node *node = freed_node();
	cgc_release(cgc_exchange(node, &node->slot[0], NULL));
}

static void play_publish_freed(void)
{
	cgc_publish(freed_node());
}

static void play_weak_to_freed(void)
{
	cgc_weak_free(cgc_weak_new(freed_node(), NULL, NULL));
}

static void *retain_foreign(void *argument)
{
	cgc_release(cgc_retain(argument));
	return NULL;
}

static void *load_foreign(void *argument)
{
	struct node *node = argument;
	cgc_release(cgc_load(node, &node->slot[0]));
	return NULL;
}

static void *store_in_foreign(void *argument)
{
	struct node *node = argument;
	cgc_store(node, &node->slot[0], NULL);
	return NULL;
}

static void *release_foreign(void *argument)
{
	cgc_release(argument);
	return NULL;
}

static void *publish_foreign(void *argument)
{
	cgc_publish(argument);
	return NULL;
}

/* The object is private to this thread; nobody published it. */
static void play_retain_foreign(void)
{
	in_thread(retain_foreign, make(1));
}

static void play_load_foreign(void)
{
	in_thread(load_foreign, make(1));
}

static void play_store_in_foreign(void)
{
	in_thread(store_in_foreign, make(1));
}

static void play_release_foreign(void)
{
	in_thread(release_foreign, make(1));
}

static void play_publish_foreign(void)
{
	in_thread(publish_foreign, make(1));
}

static void play_wrong_cast(void)
{
	void *object = make(1);
	struct array *array = cgc_cast(object, struct array, &array_type);
	cgc_release(array);
}

static void play_use_after_detach(void)
{
	struct node *node = make(1);
	cgc_thread_detach();
	cgc_release(cgc_retain(node));
}

static void play_collect_in_section(void)
{
	cgc_read_lock();
	cgc_collect(2);
}

static void play_stop_in_section(void)
{
	cgc_release(make(1));
	cgc_read_lock();
	cgc_stop();
}

static void play_start_in_section(void)
{
	cgc_release(make(1));
	cgc_read_lock();
	cgc_start(NULL);
}

static void play_detach_in_section(void)
{
	cgc_read_lock();
	cgc_thread_detach();
}

/* Prints what is left. */
static void play_leak(void)
{
	for (int i = 0; i < 3; i++)
		make(i);
	for (int i = 0; i < 7; i++)
		cgc_new(&leaf_type);
	if (cgc_stop() != 10)
		exit(3);
}

static void *do_everything(void *argument)
{
	struct node *shared = argument;
	for (int i = 0; i < 100; i++) {
		struct node *node = make_ring(3);
		cgc_store(node, &node->slot[1], shared);
		cgc_store(CGC_ROOT, &root, node);
		cgc_read_lock();
		struct node *borrowed = cgc_borrow(&root);
		node_check(cgc_cast(borrowed, struct node, &node_type));
		cgc_read_unlock();
		cgc_release(cgc_load(node, &node->slot[0]));
		struct cgc_weak *weak = cgc_weak_new(node, NULL, NULL);
		cgc_release(node);
		cgc_release(cgc_weak_load(weak));
		cgc_weak_free(weak);
		cgc_release(make_ring(2));
		cgc_release(make_chain(10));
		if (i % 10 == 0) {
			cgc_collect(i % 3);
			cgc_park();
			cgc_unpark();
		}
		if (i % 10 == 5) {
			cgc_thread_detach();
			cgc_thread_attach();
		}
	}
	cgc_release(shared);
	return NULL;
}

static void play_correct_program(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) {
		struct node *shared = make(i);
		cgc_transfer(shared);
		threads[i] = thread_start(do_everything, shared);
	}
	for (int i = 0; i < 4; i++)
		thread_join(threads[i]);
	cgc_store(CGC_ROOT, &root, NULL);
	cgc_collect(2);
	if (cgc_stop() != 0)
		exit(3);
}

static const struct scene scenes[] = {
	{"double_release", play_double_release},
	{"double_release_published", play_double_release_published},
	{"retain_freed", play_retain_freed},
	{"load_freed", play_load_freed},
	{"store_in_freed", play_store_in_freed},
	{"store_freed", play_store_freed},
	{"store_freed_in_root", play_store_freed_in_root},
	{"exchange_in_freed", play_exchange_in_freed},
	{"publish_freed", play_publish_freed},
	{"weak_to_freed", play_weak_to_freed},
	{"retain_foreign", play_retain_foreign},
	{"load_foreign", play_load_foreign},
	{"store_in_foreign", play_store_in_foreign},
	{"release_foreign", play_release_foreign},
	{"publish_foreign", play_publish_foreign},
	{"wrong_cast", play_wrong_cast},
	{"use_after_detach", play_use_after_detach},
	{"collect_in_section", play_collect_in_section},
	{"stop_in_section", play_stop_in_section},
	{"start_in_section", play_start_in_section},
	{"detach_in_section", play_detach_in_section},
	{"leak", play_leak},
	{"correct_program", play_correct_program},
};

/* ---------------------------------------------------------------------------------------------
 * Tests
 * ------------------------------------------------------------------------------------------- */

static void a_double_release_is_noticed(UNUSED void **state)
{
	assert_aborts("double_release", "debug=1", "cgc_release", "node");
	assert_aborts("double_release_published", "debug=1", "cgc_release", "node");
}

static void a_freed_object_is_not_used_unnoticed(UNUSED void **state)
{
	assert_aborts("retain_freed", "debug=1", "cgc_retain", "node");
	assert_aborts("load_freed", "debug=1", "cgc_load", "node");
	assert_aborts("store_in_freed", "debug=1", "cgc_store", "node");
	assert_aborts("store_freed", "debug=1", "cgc_store", "node");
	assert_aborts("store_freed_in_root", "debug=1", "cgc_store", "node");
	assert_aborts("exchange_in_freed", "debug=1", "cgc_exchange", "node");
	assert_aborts("publish_freed", "debug=1", "cgc_publish", "node");
	assert_aborts("weak_to_freed", "debug=1", "cgc_weak_new", "node");
}

static void a_private_object_is_not_touched_by_another_thread_unnoticed(UNUSED void **state)
{
	assert_aborts("retain_foreign", "debug=1", "cgc_retain", "node");
	assert_aborts("load_foreign", "debug=1", "cgc_load", "node");
	assert_aborts("store_in_foreign", "debug=1", "cgc_store", "node");
	assert_aborts("release_foreign", "debug=1", "cgc_release", "node");
	assert_aborts("publish_foreign", "debug=1", "cgc_publish", "node");
}

static void a_cast_to_a_wrong_type_is_noticed(UNUSED void **state)
{
	assert_aborts("wrong_cast", "debug=1", "cgc_cast", "node");
	assert_aborts("wrong_cast", "debug=1", "cgc_cast", "array");
}

static void a_detached_thread_does_not_use_objects_unnoticed(UNUSED void **state)
{
	struct ending ending;
	run_scene("use_after_detach", "debug=1", &ending);
	assert_true(WIFSIGNALED(ending.status));
	assert_int_equal(WTERMSIG(ending.status), SIGABRT);
	assert_says(&ending, "cgc: ");
	assert_says(&ending, "detach");
	/* Without debug it is attached again. */
	assert_ends_well("use_after_detach", NULL);
}

/* Always: it would wait for itself. */
static void waiting_inside_a_read_section_is_refused(UNUSED void **state)
{
	static const char *const options[] = {"debug=1", "debug=0"};
	for (int i = 0; i < 2; i++) {
		assert_aborts("collect_in_section", options[i], "cgc_collect", "section");
		assert_aborts("stop_in_section", options[i], "cgc_stop", "section");
		assert_aborts("start_in_section", options[i], "cgc_start", "section");
		assert_aborts("detach_in_section", options[i], "cgc_thread_detach", "section");
	}
}

static void stopping_with_debug_lists_what_is_alive(UNUSED void **state)
{
	struct ending ending;
	run_scene("leak", "debug=1", &ending);
	assert_true(WIFEXITED(ending.status));
	assert_int_equal(WEXITSTATUS(ending.status), 0);
	assert_says(&ending, "node");
	assert_says(&ending, "3");
	assert_says(&ending, "leaf");
	assert_says(&ending, "7");
	/* Without debug it is silent. */
	run_scene("leak", NULL, &ending);
	assert_int_equal(WEXITSTATUS(ending.status), 0);
	assert_string_equal(ending.text, "");
}

static void a_correct_program_is_not_accused(UNUSED void **state)
{
	assert_ends_well("correct_program", "debug=1");
	assert_ends_well("correct_program", "poison=1");
}

/* The environment wins over the program, and is checked too. */
static void a_wrong_environment_ends_the_program_at_its_first_use(UNUSED void **state)
{
	struct ending ending;
	run_scene("leak", "nonsense=1", &ending);
	assert_true(WIFSIGNALED(ending.status));
	assert_int_equal(WTERMSIG(ending.status), SIGABRT);
	assert_says(&ending, "nonsense");
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(scenes[0]));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_double_release_is_noticed),
		cmocka_unit_test(a_freed_object_is_not_used_unnoticed),
		cmocka_unit_test(a_private_object_is_not_touched_by_another_thread_unnoticed),
		cmocka_unit_test(a_cast_to_a_wrong_type_is_noticed),
		cmocka_unit_test(a_detached_thread_does_not_use_objects_unnoticed),
		cmocka_unit_test(waiting_inside_a_read_section_is_refused),
		cmocka_unit_test(stopping_with_debug_lists_what_is_alive),
		cmocka_unit_test(a_correct_program_is_not_accused),
		cmocka_unit_test(a_wrong_environment_ends_the_program_at_its_first_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
