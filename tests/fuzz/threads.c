/* SPDX-License-Identifier: MIT
 *
 * The threads of a program, and what runs when. Thread 0 is the caller; the others wait for commands. A thread that
 * exits leaves its hands and its place to a new one, which waits for its end.
 */
#include <errno.h>
#include <stdlib.h>

#include "world.h"

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0 && errno == EINTR)
		;
}

/* True if the thread is to exit before it goes on. */
static bool run_ops(struct worker *worker)
{
	const struct program *program = world.program;
	while (worker->position < worker->end) {
		struct op op = program->ops[worker->position++];
		if (op.thread != worker->index)
			continue;
		if (op.code != EXIT) {
			execute(worker, &op);
		} else if (op.d < 64) {
			worker->operations++;
			section_leave_all(worker);
			if (!worker->is_main)
				return true;
			op.code = DETACH;
			execute(worker, &op);
		}
	}
	if (!world.exact)
		section_leave_all(worker);
	return false;
}

static void drop(struct worker *worker)
{
	worker_attach(worker);
	worker_drop_hands(worker);
	for (unsigned i = 0; i < WEAKS; i++) {
		struct watch *watch = worker->weak[i];
		worker->weak[i] = NULL;
		if (watch == NULL)
			continue;
		world_enter();
		/* No order needed: read at quiet points. */
		atomic_store_explicit(&watch->freed, true, memory_order_relaxed);
		cgc_weak_free(watch->weak);
		world_leave();
	}
}

static bool obey(struct worker *worker)
{
	switch (worker->command) {
	case RUN:
		return run_ops(worker);
	case COLLECT_YOUNG:
		section_leave_all(worker);
		worker_collect(worker);
		return false;
	case DROP_ALL:
		section_leave_all(worker);
		drop(worker);
		return false;
	case DETACH_NOW:
		if (!worker->is_main && !worker->detached)
			cgc_thread_detach();
		worker->detached = !worker->is_main;
		return false;
	default:
		return false;
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	self = worker;
	bool goes_on = worker->has_predecessor;
	if (goes_on) {
		pthread_join(worker->predecessor, NULL);
		worker->has_predecessor = false;
	}
	for (;;) {
		if (!goes_on)
			wait_for(&worker->go);
		goes_on = false;
		if (obey(worker)) {
			worker->predecessor = pthread_self();
			worker->has_predecessor = true;
			worker->detached = false;
			REQUIRE(pthread_create(&worker->thread, NULL, work, worker) == 0);
			return NULL;
		}
		int command = worker->command;
		sem_post(&worker->done);
		if (command == END)
			return NULL;
	}
}

static void begin(unsigned index, enum command command)
{
	struct worker *worker = &world.worker[index];
	worker->command = (int)command;
	if (index == 0)
		obey(worker);
	else
		sem_post(&worker->go);
}

static void finish(unsigned index)
{
	if (index != 0)
		wait_for(&world.worker[index].done);
}

/* Exact: one after the other, otherwise together. The main thread leaves sections first, lest others wait for it. */
void command_all(enum command command)
{
	for (unsigned i = 0; i < world.worker_count; i++) {
		begin(i, command);
		if (world.exact)
			finish(i);
	}
	for (unsigned i = 0; i < world.worker_count && !world.exact; i++)
		finish(i);
	/* A thread that collects for everybody is attached. */
	worker_attach(&world.worker[0]);
}

static void run_segment(size_t first, size_t end)
{
	const struct op *ops = world.program->ops;
	if (!world.exact) {
		for (unsigned i = world.worker_count; i-- > 0;) {
			world.worker[i].position = first;
			world.worker[i].end = end;
			begin(i, RUN);
		}
		for (unsigned i = 0; i < world.worker_count; i++)
			finish(i);
		return;
	}
	while (first < end) {
		size_t next = first + 1;
		while (next < end && ops[next].thread == ops[first].thread)
			next++;
		unsigned index = ops[first].thread;
		world.worker[index].position = first;
		world.worker[index].end = next;
		begin(index, RUN);
		finish(index);
		first = next;
	}
}

static void start_library(unsigned options)
{
	static bool is_running;
	static unsigned running;
	if (is_running && running == options)
		return;
	if (is_running && stop_silently() != world.immortal_before)
		VIOLATED("cgc_stop: objects left that are not immortal");
	REQUIRE(cgc_start(program_options(options)) == 0);
	is_running = true;
	running = options;
}

static bool try_again(size_t bytes)
{
	(void)bytes;
	return true;
}

void run_program(const struct program *program)
{
	unsigned threshold[3];
	start_library(program->options);
	cgc_set_oom_handler(try_again);
	cgc_get_threshold(threshold);
	bool is_enabled = cgc_is_enabled();
	world_begin(program);
	self = &world.worker[0];
	for (unsigned i = 1; i < world.worker_count; i++)
		REQUIRE(pthread_create(&world.worker[i].thread, NULL, work, &world.worker[i]) == 0);
	for (size_t first = 0; first < program->count;) {
		size_t end = first;
		while (end < program->count && program->ops[end].code != QUIET)
			end++;
		run_segment(first, end);
		if (end < program->count)
			quiet_point(program->ops[end].d);
		first = end + 1;
	}
	quiet_point(255);
	quiet_reset();
	command_all(END);
	for (unsigned i = 1; i < world.worker_count; i++)
		pthread_join(world.worker[i].thread, NULL);
	cgc_set_threshold(threshold);
	is_enabled ? cgc_enable() : cgc_disable();
	world_end();
}
