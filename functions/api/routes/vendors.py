"""Vendors: what each takes."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from clipferry import vendors
from clipferry.intake.vendor_descriptions import describe
from common import reply

router = APIGatewayRouter()


@router.get("/vendors")
def list_vendors() -> Response[str]:
    return reply({"vendors": [describe(vendors.vendor_class(name)) for name in vendors.VENDORS]})
