/* Sends a control to a service, as the service manager's own program does on Windows. Arguments: the service, the control's number. */

#include <windows.h>

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    SC_HANDLE manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_CONNECT), service;
    SERVICE_STATUS status;

    if (count != 3 || manager == NULL) return 2;
    service = OpenServiceA(manager, arguments[1], SERVICE_ALL_ACCESS);
    if (service == NULL || !ControlService(service, (DWORD)atoi(arguments[2]), &status)) {
        printf("%s: error %lu\n", arguments[1], GetLastError());
        return 1;
    }
    return 0;
}
