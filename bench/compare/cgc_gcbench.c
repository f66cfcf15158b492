/* SPDX-License-Identifier: MIT
 *
 * GCBench with libcgc.
 */
#include "cgc.h"

struct tree {
	cgc_ref(struct tree) left;
	cgc_ref(struct tree) right;
	int i, j;
};
static struct cgc_type tree_type = {
	.name = "tree",
	.size = sizeof(struct tree),
	CGC_FIELDS(CGC_FIELD(struct tree, left), CGC_FIELD(struct tree, right)),
};

struct bytes {
	uint64_t length;
	char contents[];
};
static struct cgc_type bytes_type = {
	.name = "bytes",
	.size = sizeof(struct bytes),
	.flags = CGC_TRAILING_BYTES,
	.trailing = CGC_BYTES_FIELD(struct bytes, contents),
};

static struct tree *tree_new(void)
{
	return cgc_new(&tree_type);
}

static void tree_link(struct tree *parent, struct tree *left, struct tree *right)
{
	cgc_store_consume(parent, &parent->left, left);
	cgc_store_consume(parent, &parent->right, right);
}

static void tree_drop(struct tree *tree)
{
	cgc_release(tree);
}

static size_t count_borrowed(struct tree *tree)
{
	return tree == NULL
	               ? 0
	               : 1 + count_borrowed(cgc_borrow(&tree->left)) + count_borrowed(cgc_borrow(&tree->right));
}

static size_t tree_count(struct tree *tree)
{
	cgc_read_lock();
	size_t count = count_borrowed(tree);
	cgc_read_unlock();
	return count;
}

static struct bytes *bytes_new(size_t count)
{
	struct bytes *bytes = cgc_new_n(&bytes_type, count);
	bytes->length = count;
	return bytes;
}

static void hole(size_t bytes)
{
	struct bytes *object = bytes_new(bytes - sizeof(struct bytes));
	ESCAPE(object);
	cgc_release(object);
}

static double *doubles_new(size_t count)
{
	return (double *)(void *)bytes_new(count * sizeof(double))->contents;
}

static void doubles_drop(double *array)
{
	cgc_release((char *)array - offsetof(struct bytes, contents));
}

#include "gcbench.h"
