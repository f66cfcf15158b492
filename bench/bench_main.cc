/* SPDX-License-Identifier: MIT
 *
 * All benchmarks in one process, so that the ratios are of one run.
 */
#include "bench.h"

#include <jemalloc/jemalloc.h>
#include <sys/single_threaded.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace
{

void fail(const char *reason)
{
	std::fprintf(stderr, "bench: %s\n", reason);
	std::exit(1);
}

uint64_t allocated_from_jemalloc()
{
	uint64_t bytes = 0;
	size_t size = sizeof(bytes);
	if (mallctl("thread.allocated", &bytes, &size, nullptr, 0) != 0)
		fail("jemalloc was built without statistics: cannot tell whether malloc is jemalloc's");
	return bytes;
}

/* The conditions under which the comparison means what the table says. */
void check_conditions()
{
	uint64_t before = allocated_from_jemalloc();
	void *memory = std::malloc(PAYLOAD);
	ESCAPE(memory);
	if (allocated_from_jemalloc() == before)
		fail("malloc is not jemalloc's");
	std::free(memory);
	/* With one thread libstdc++ counts without atomic operations. The library's background thread is another
	 * one, and lives as long as the process. */
	if (__libc_single_threaded)
		fail("libstdc++ takes the process for single-threaded: std::shared_ptr would count plainly");
}

} // namespace

int main(int argc, char **argv)
{
	bdwgc_start();
	int error = start_library();
	if (error != 0)
		fail(std::strerror(error));
	std::thread([] {}).join();
	check_conditions();

	/* 0.1 s for each repetition, unless the command line wants something else. */
	char minimum[] = "--benchmark_min_time=0.1";
	std::vector<char *> arguments(argv, argv + argc);
	arguments.insert(arguments.begin() + 1, minimum);
	int count = static_cast<int>(arguments.size());
	benchmark::Initialize(&count, arguments.data());
	if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
		return 1;
	benchmark::AddCustomContext("header_bytes", std::to_string(header_bytes()));
	benchmark::AddCustomContext("jemalloc",
	                            std::string(JEMALLOC_VERSION, std::strcspn(JEMALLOC_VERSION, "-")));
	unsigned version = bdwgc_version();
	benchmark::AddCustomContext("bdwgc", std::to_string(version >> 16) + "." +
	                                             std::to_string(version >> 8 & 255) + "." +
	                                             std::to_string(version & 255));
	benchmark::AddCustomContext("compiler", __VERSION__);
	add_count();
	add_alloc();
	add_field();
	add_cycle();
	add_urcu();
	if (benchmark::RunSpecifiedBenchmarks() == 0)
		fail("no benchmark of that name");
	benchmark::Shutdown();
	return 0;
}
