/* SPDX-License-Identifier: MIT
 *
 * Stores and loads through fields, counted and borrowed. Which case is measured depends on the objects: private to
 * the calling thread, or published.
 */
#include "node.h"

void loop_store(void **objects, size_t mask, void **values)
{
	for (size_t i = 0; i < LOOP; i++) {
		struct node *node = objects[i & mask];
		/* Not the value that is there already. */
		struct node *value = values[(i + i / (mask + 1)) & mask];
		KEEP(node);
		cgc_store(node, &node->next, value);
	}
}

void loop_store_fresh(void **objects, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		struct node *node = objects[i & mask], *fresh = cgc_new(&node_type);
		ESCAPE(fresh);
		cgc_store_consume(node, &node->next, fresh);
	}
}

void loop_load(void **objects, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		struct node *node = objects[i & mask];
		struct node *value = cgc_load(node, &node->next);
		KEEP(value);
		cgc_release(value);
	}
}

void loop_section_borrow(void **objects, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		struct node *node = objects[i & mask];
		cgc_read_lock();
		struct node *value = cgc_borrow(&node->next);
		char first = value->payload[0];
		KEEP(first);
		cgc_read_unlock();
	}
}

void loop_borrow(void **objects, size_t mask)
{
	cgc_read_lock();
	for (size_t i = 0; i < LOOP; i++) {
		struct node *node = objects[i & mask];
		struct node *value = cgc_borrow(&node->next);
		char first = value->payload[0];
		KEEP(first);
	}
	cgc_read_unlock();
}

void loop_section(void)
{
	for (size_t i = 0; i < LOOP; i++) {
		cgc_read_lock();
		cgc_read_unlock();
	}
}

void fields_fill(void **objects, size_t mask, void **values)
{
	for (size_t i = 0; i <= mask; i++) {
		struct node *node = objects[i], *value = values[i];
		cgc_store(node, &node->next, value);
	}
}

void fields_clear(void **objects, size_t mask)
{
	for (size_t i = 0; i <= mask; i++) {
		struct node *node = objects[i];
		cgc_store(node, &node->next, NULL);
	}
}
