/* SPDX-License-Identifier: MIT
 *
 * A program as a user of the installed library writes it: two threads share a list, a ring is collected, nothing stays.
 * Prints the version of the header. Also as C++, once cgc.h can be included there.
 */
#include <cgc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
	cgc_ref(struct node) next;
	int value;
};
static struct cgc_type node_type = {
	.name = "node", .size = sizeof(struct node), CGC_FIELDS(CGC_FIELD(struct node, next))};
static cgc_ref(struct node) list;

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "program: not so: %s\n", what);
	exit(1);
}

static struct node *make(int value)
{
	struct node *node = (struct node *)cgc_new(&node_type);
	node->value = value;
	return node;
}

static void *push(void *argument)
{
	(void)argument;
	for (int i = 1; i <= 1000; i++) {
		struct node *node = make(i), *first;
		bool done;
		do {
			first = cgc_load(CGC_ROOT, &list);
			cgc_store(node, &node->next, first);
			done = cgc_compare_exchange(CGC_ROOT, &list, first, node);
			cgc_release(first);
		} while (!done);
		cgc_release(node);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[2];
	must(cgc_start("enable=0") == 0, "it starts");
	for (int i = 0; i < 2; i++)
		must(pthread_create(&threads[i], NULL, push, NULL) == 0, "a thread starts");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);

	long sum = 0;
	cgc_read_lock();
	for (struct node *node = cgc_borrow(&list); node != NULL; node = cgc_borrow(&node->next))
		sum += node->value;
	cgc_read_unlock();
	must(sum == 2 * 500500, "each thread's nodes are in the list");
	cgc_store(CGC_ROOT, &list, NULL);

	struct node *first = make(1), *second = make(2);
	cgc_store(first, &first->next, second);
	cgc_store_consume(second, &second->next, first);
	struct cgc_weak *weak = cgc_weak_new(second, NULL, NULL);
	cgc_release(second);
	must(cgc_collect(2) == 2, "the ring is garbage");
	must(cgc_weak_load(weak) == NULL, "the weak reference says so");
	cgc_weak_free(weak);
	must(cgc_stop() == 0, "nothing is alive");
	printf("%d.%d.%d\n", CGC_VERSION_MAJOR, CGC_VERSION_MINOR, CGC_VERSION_PATCH);
	return 0;
}
