/* SPDX-License-Identifier: MIT
 *
 * The flavours of liburcu: what a read section costs, and how long a grace period takes, alone and with a thread
 * that enters and leaves sections all the time.
 */
#include "bench.h"

#include <atomic>
#include <thread>

namespace
{

class busy_reader
{
	std::atomic<bool> is_running{false}, is_over{false};
	std::thread thread;

      public:
	explicit busy_reader(const urcu_flavour &flavour)
	{
		thread = std::thread([this, &flavour] {
			flavour.enter();
			is_running.store(true, std::memory_order_release); /* Pairs: the load below. */
			is_running.notify_one();
			/* No order needed: a request. */
			while (!is_over.load(std::memory_order_relaxed))
				flavour.loop();
			flavour.leave();
		});
		/* Pairs: the store of the thread. */
		is_running.wait(false, std::memory_order_acquire);
	}
	~busy_reader()
	{
		/* No order needed: a request. */
		is_over.store(true, std::memory_order_relaxed);
		thread.join();
	}
};

void add_flavour(const urcu_flavour &flavour)
{
	std::string name = flavour.name;
	benchmark::RegisterBenchmark(("urcu/section/" + name + "/1").c_str(),
	                             [&flavour](benchmark::State &state) {
					     flavour.enter();
					     for (auto _ : state)
						     flavour.loop();
					     flavour.leave();
					     state.SetItemsProcessed(state.iterations() * LOOP);
				     });
	benchmark::RegisterBenchmark(("urcu/grace_idle/" + name + "/1").c_str(),
	                             [&flavour](benchmark::State &state) {
					     for (auto _ : state)
						     flavour.synchronize();
					     state.SetItemsProcessed(state.iterations());
				     })
		->UseRealTime();
	benchmark::RegisterBenchmark(("urcu/grace_busy/" + name + "/1").c_str(),
	                             [&flavour](benchmark::State &state) {
					     busy_reader reader(flavour);
					     for (auto _ : state)
						     flavour.synchronize();
					     state.SetItemsProcessed(state.iterations());
				     })
		->UseRealTime();
}

} // namespace

void add_urcu()
{
	add_flavour(urcu_flavour_memb);
	add_flavour(urcu_flavour_bp);
	add_flavour(urcu_flavour_qsbr);
}
