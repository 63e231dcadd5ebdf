"""A Modbus device by pymodbus: holding register 0x0101 of device 1 holds 754.

    modbus.py tcp PORT        modbus.py rtu TTY
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusSerialServer, ModbusTcpServer


async def main(kind, where):
    # The block counts from 1, the line from 0.
    block = ModbusSequentialDataBlock(0x0102, [754, 213])
    context = ModbusServerContext(devices={1: ModbusDeviceContext(hr=block)}, single=False)
    if kind == "tcp":
        server = ModbusTcpServer(context, address=("127.0.0.1", int(where)))
    else:
        server = ModbusSerialServer(context, framer=FramerType.RTU, port=where, baudrate=9600)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
