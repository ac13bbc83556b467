// What an object file of a C++ library calls functions that have the interface's types as parameters.

#include <fl.h>

void take(const scat_element *, const scatter *, const group_id *, const vs_set_info *, const membership_info *, sp_time)
{
}
