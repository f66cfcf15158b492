/* SPDX-License-Identifier: MIT
 *
 * Large structures on a small stack: neither death nor publication nor collection recurses, however long a list
 * or deep a tree is.
 */
#include <unistd.h>

#include "node.h"

/* As little as possible, for there are many. */
struct link {
	cgc_ref(struct link) next;
};
static struct cgc_type link_type = {
	.name = "link", .size = sizeof(struct link), CGC_FIELDS(CGC_FIELD(struct link, next))};

enum { LIST_LENGTH = IS_SANITIZED ? 1000000 : 10000000, TREE_DEPTH = IS_SANITIZED ? 100000 : 1000000 };

static cgc_ref(struct link) link_root;

static struct link *make_long_list(void)
{
	struct link *first = NULL;
	for (int i = 0; i < LIST_LENGTH; i++) {
		struct link *link = cgc_new(&link_type);
		cgc_store_consume(link, &link->next, first);
		first = link;
	}
	return first;
}

static void *private_long_list(UNUSED void *argument)
{
	struct link *list = make_long_list();
	MUST(live() == LIST_LENGTH);
	cgc_release(list);
	MUST(live() == 0);
	return NULL;
}

static void *published_long_list(UNUSED void *argument)
{
	struct link *list = make_long_list();
	cgc_store_consume(CGC_ROOT, &link_root, list); /* publishes it all */
	cgc_store(CGC_ROOT, &link_root, NULL);
	cgc_collect(2);
	MUST(live() == 0);
	return NULL;
}

static void *ring_of_long_list(UNUSED void *argument)
{
	struct link *last = cgc_new(&link_type), *first = cgc_retain(last);
	for (int i = 1; i < LIST_LENGTH / 10; i++) {
		struct link *link = cgc_new(&link_type);
		cgc_store_consume(link, &link->next, first);
		first = link;
	}
	cgc_store_consume(last, &last->next, first);
	bool is_published = argument != NULL;
	if (is_published)
		cgc_publish(last);
	cgc_release(last);
	MUST(cgc_collect(is_published ? 2 : 0) == LIST_LENGTH / 10);
	MUST(live() == 0);
	return NULL;
}

/* Both children of each node, one of them the rest of the tree. */
static struct node *make_deep_tree(void)
{
	struct node *tree = NULL;
	for (int i = 0; i < TREE_DEPTH; i++) {
		struct node *node = make_of(&plain_type, i);
		cgc_store_consume(node, &node->slot[i % 2], tree);
		cgc_store_consume(node, &node->slot[1 - i % 2], make_of(&plain_type, i));
		tree = node;
	}
	return tree;
}

static void *private_deep_tree(UNUSED void *argument)
{
	cgc_release(make_deep_tree());
	MUST(live() == 0);
	return NULL;
}

static void *published_deep_tree(UNUSED void *argument)
{
	struct node *tree = make_deep_tree();
	cgc_publish(tree);
	cgc_release(tree);
	cgc_collect(2);
	MUST(live() == 0);
	return NULL;
}

/* Survives the young collections, then dies: publication by promotion is as flat as all else. */
static void *promoted_deep_tree(UNUSED void *argument)
{
	struct node *tree = make_deep_tree();
	MUST(cgc_collect(0) == 0);
	MUST(cgc_collect(1) == 0);
	MUST(cgc_generation(tree) == 2);
	MUST(cgc_collect(2) == 0);
	cgc_release(tree);
	cgc_collect(2);
	MUST(live() == 0);
	return NULL;
}

/* 64 KiB, or what the sanitizer's runtime needs on top. */
static void on_small_stack(void *(*run)(void *), void *argument)
{
	pthread_attr_t attributes;
	pthread_t thread;
	size_t bytes = IS_SANITIZED ? 512 * 1024 : 64 * 1024;
	long least = sysconf(_SC_THREAD_STACK_MIN);
	if (least > 0 && bytes < (size_t)least)
		bytes = (size_t)least;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, bytes), 0);
	assert_int_equal(pthread_create(&thread, &attributes, run, argument), 0);
	pthread_attr_destroy(&attributes);
	thread_join(thread);
}

static void a_long_private_list_dies_on_a_small_stack(UNUSED void **state)
{
	on_small_stack(private_long_list, NULL);
}

static void a_long_published_list_dies_on_a_small_stack(UNUSED void **state)
{
	on_small_stack(published_long_list, NULL);
}

static void a_long_ring_is_collected_on_a_small_stack(UNUSED void **state)
{
	on_small_stack(ring_of_long_list, NULL);
	on_small_stack(ring_of_long_list, &link_root);
}

static void a_deep_tree_dies_on_a_small_stack(UNUSED void **state)
{
	on_small_stack(private_deep_tree, NULL);
	on_small_stack(published_deep_tree, NULL);
	on_small_stack(promoted_deep_tree, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_long_private_list_dies_on_a_small_stack),
		TEST(a_long_published_list_dies_on_a_small_stack),
		TEST(a_long_ring_is_collected_on_a_small_stack),
		TEST(a_deep_tree_dies_on_a_small_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
