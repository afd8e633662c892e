"""The common part of all products of Alibaba Cloud: signed calls, error codes, the form of parameters."""

from clipferry.vendors.alibaba.rpc import RpcClient
from clipferry.vendors.alibaba.signature import Acs3Auth, authorization

__all__ = ["Acs3Auth", "RpcClient", "authorization"]
