/* SPDX-License-Identifier: MIT
 *
 * `make compare`: std::shared_ptr and std::atomic<std::shared_ptr> of libstdc++, over jemalloc.
 */
#include <atomic>

#include "pointers.h"

struct shared {
	using pointer = std::shared_ptr<leaf>;
	using slot = std::atomic<std::shared_ptr<leaf>>;

	static pointer make()
	{
		return std::make_shared<leaf>();
	}

	static void store(slot &into, pointer &&value)
	{
		into.store(std::move(value), std::memory_order_release);
	}

	static pointer load(slot &from)
	{
		return from.load(std::memory_order_acquire);
	}
};

/* As in request.h; links back are weak. */
struct item {
	std::weak_ptr<item> parent;
	std::shared_ptr<item> first, next;
	std::weak_ptr<item> previous;
	uint64_t payload[2];
};

static constexpr int tree_depth = 3, children = 3;
static constexpr uint64_t tree_items = 40, list_items = 40, requests = 16;

static std::shared_ptr<item> parse_tree(int depth)
{
	auto node = std::make_shared<item>();
	std::shared_ptr<item> first;
	touch(node->payload, static_cast<uint64_t>(depth));
	for (int i = 0; depth > 0 && i < children; i++) {
		auto child = parse_tree(depth - 1);
		child->parent = node;
		child->next = std::move(first);
		first = std::move(child);
	}
	node->first = std::move(first);
	return node;
}

static std::shared_ptr<item> linked_list()
{
	auto head = std::make_shared<item>(), last = head;
	touch(head->payload, 0);
	for (uint64_t i = 1; i < list_items; i++) {
		auto node = std::make_shared<item>();
		touch(node->payload, i);
		node->previous = last;
		last->next = node;
		last = std::move(node);
	}
	return head;
}

static uint64_t request_batch(struct job *)
{
	for (uint64_t i = 0; i < requests; i++) {
		auto tree = parse_tree(tree_depth), list = linked_list();
		keep(tree);
		keep(list);
	}
	return (tree_items + list_items) * requests;
}

static const struct workload workloads[] = {
	{"count", false, counting<shared>::prepare, counting<shared>::batch, nullptr},
	{"hot", false, counting<shared>::hot_prepare, counting<shared>::hot_batch, nullptr},
	{"slots", false, slots<shared>::prepare, slots<shared>::batch, nullptr},
	{"request", false, nullptr, request_batch, nullptr},
	{nullptr, false, nullptr, nullptr, nullptr},
};

extern "C" const struct peer peer = {"shared_ptr", nullptr, nullptr, nullptr, workloads};
