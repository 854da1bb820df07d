// Compiling the headers checks every layout assertion on the host's side too.
#include "abi.h"
