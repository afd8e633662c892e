"""What every product of Alibaba Cloud shares: signed calls, the meaning of codes, the form of parameters."""

from clipferry.vendors.alibaba.rpc import RpcClient
from clipferry.vendors.alibaba.signature import Acs3Auth, authorization

__all__ = ["Acs3Auth", "RpcClient", "authorization"]
