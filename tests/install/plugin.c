/* SPDX-License-Identifier: MIT
 *
 * A plugin that is linked with the library, for a host that is not and that loads it with RTLD_LOCAL.
 */
#include "plugin.h"

#include <cgc.h>
#include <errno.h>

struct node {
	cgc_ref(struct node) next;
	int value;
};
static struct cgc_type node_type = {
	.name = "node", .size = sizeof(struct node), CGC_FIELDS(CGC_FIELD(struct node, next))};
static cgc_ref(struct node) shared;

int plugin_start(void)
{
	return cgc_start("enable=0");
}

/* The inline halves of the calls are in here, with the thread's own variable. */
bool plugin_work(int count)
{
	for (int i = 0; i < count; i++) {
		struct node *node = cgc_new(&node_type);
		if (cgc_generation(node) != 0)
			return false;
		node->value = i;
		cgc_store_consume(CGC_ROOT, &shared, node);
		struct node *other = cgc_load(CGC_ROOT, &shared);
		if (other == NULL || other->value < 0 || other->value >= count)
			return false;
		cgc_release(other);
	}
	return true;
}

/* Returns how many objects a collection found in a ring of two that nobody holds; 2 is right. */
long plugin_ring(void)
{
	struct node *first = cgc_new(&node_type), *second = cgc_new(&node_type);
	cgc_store(first, &first->next, second);
	cgc_store_consume(second, &second->next, first);
	cgc_publish(second);
	cgc_release(second);
	return cgc_collect(2);
}

void plugin_detach(void)
{
	cgc_thread_detach();
}

size_t plugin_stop(void)
{
	cgc_store(CGC_ROOT, &shared, NULL);
	return cgc_stop();
}
