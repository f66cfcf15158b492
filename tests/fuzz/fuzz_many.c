/* SPDX-License-Identifier: MIT
 *
 * What must stay true: whatever the threads of a program do at the same time, at each quiet point the heap is exactly
 * what can be reached, with the counts that it should have, and all else has ended as it must.
 */
#include "drive.h"

int main(int count, char **arguments)
{
	return drive("fuzz_many", count, arguments, true);
}
