/* SPDX-License-Identifier: MIT
 *
 * `make compare`: GObject's references.
 */
#include <glib-object.h>

#include "harness.h"

typedef struct {
	GObject parent;
	char payload[PAYLOAD];
} Leaf;
typedef struct {
	GObjectClass parent;
} LeafClass;

GType leaf_get_type(void);
G_DEFINE_TYPE(Leaf, leaf, G_TYPE_OBJECT)

static Leaf *hot;

static void leaf_init(Leaf *leaf)
{
	touch(leaf->payload, 0);
}

static void leaf_class_init(LeafClass *class)
{
	(void)class;
}

static void count_prepare(struct job *job)
{
	Leaf **objects = memory(ROTATION * sizeof(*objects));
	for (size_t i = 0; i < ROTATION; i++)
		objects[i] = g_object_new(leaf_get_type(), NULL);
	job->state = objects;
}

static uint64_t count_batch(struct job *job)
{
	Leaf **objects = job->state;
	for (size_t i = 0; i < LOOP; i++) {
		Leaf *held = g_object_ref(objects[i % ROTATION]);
		KEEP(held);
		g_object_unref(held);
	}
	return LOOP;
}

static void hot_prepare(struct job *job)
{
	if (job->thread == 0)
		hot = g_object_new(leaf_get_type(), NULL);
}

static uint64_t hot_batch(struct job *job)
{
	(void)job;
	for (size_t i = 0; i < LOOP; i++) {
		Leaf *object = hot;
		KEEP(object);
		Leaf *held = g_object_ref(object);
		KEEP(held);
		g_object_unref(held);
	}
	return LOOP;
}

static const struct workload workloads[] = {
	{.name = "count", .prepare = count_prepare, .batch = count_batch},
	{.name = "hot", .prepare = hot_prepare, .batch = hot_batch},
	{0},
};

const struct peer peer = {.name = "glib", .workloads = workloads};
