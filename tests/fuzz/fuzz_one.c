/* SPDX-License-Identifier: MIT
 *
 * What must stay true: whatever a program does, one operation after the other, the library does as the sequential
 * oracle says; the background thread runs beside it.
 */
#include "drive.h"

int main(int count, char **arguments)
{
	return drive("fuzz_one", count, arguments, false);
}
