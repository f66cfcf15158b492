/* SPDX-License-Identifier: MIT
 *
 * `make compare`: the counted pointers of Boost, over jemalloc.
 */
#include <boost/smart_ptr/atomic_shared_ptr.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <boost/smart_ptr/local_shared_ptr.hpp>
#include <boost/smart_ptr/make_local_shared.hpp>
#include <boost/smart_ptr/make_shared.hpp>

#include "pointers.h"

struct counted_leaf : boost::intrusive_ref_counter<counted_leaf, boost::thread_safe_counter>, leaf {
};

struct intrusive {
	using pointer = boost::intrusive_ptr<counted_leaf>;

	static pointer make()
	{
		return pointer(new counted_leaf());
	}
};

/* Counts for one thread alone. */
struct local {
	using pointer = boost::local_shared_ptr<leaf>;

	static pointer make()
	{
		return boost::make_local_shared<leaf>();
	}
};

struct shared {
	using pointer = boost::shared_ptr<leaf>;
	using slot = boost::atomic_shared_ptr<leaf>;

	static pointer make()
	{
		return boost::make_shared<leaf>();
	}

	static void store(slot &into, pointer &&value)
	{
		into.store(std::move(value));
	}

	static pointer load(slot &from)
	{
		return from.load();
	}
};

static const struct workload workloads[] = {
	{"count-intrusive", false, counting<intrusive>::prepare, counting<intrusive>::batch, nullptr},
	{"hot-intrusive", false, counting<intrusive>::hot_prepare, counting<intrusive>::hot_batch, nullptr},
	{"count-local", false, counting<local>::prepare, counting<local>::batch, nullptr},
	{"slots", false, slots<shared>::prepare, slots<shared>::batch, nullptr},
	{nullptr, false, nullptr, nullptr, nullptr},
};

extern "C" const struct peer peer = {"boost", nullptr, nullptr, nullptr, workloads};
